"""An OpenAI-compatible engine that costs nothing: the same text at once, or a piece at a time, to any number."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

WORDS: Final = " ".join(
    ["The train left in the morning and the children looked out at the hills, the river and the small white houses."]
    * 4
)
PIECE_S: Final = 0.25  # between the pieces of the slow engine; four words a second, as a person reads


@contextmanager
def engine() -> Iterator[tuple[str, str]]:
    """Base URLs of one that sends all at once, and of one that takes its time."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    servers = [asyncio.run_coroutine_threadsafe(_serve(pause), loop).result(10) for pause in (0.0, PIECE_S)]
    try:
        fast, slow = (f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1" for server in servers)
        yield fast, slow
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _serve(pause_s: float) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _answer(reader, writer, pause_s)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the caller left
        finally:
            writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0, backlog=512)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause_s: float) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length:")), 0)
    body = await reader.readexactly(length)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
    for word in words_for(body).split():
        writer.write(_event({"choices": [{"index": 0, "delta": {"content": word + " "}, "finish_reason": None}]}))
        if pause_s:
            await writer.drain()
            await asyncio.sleep(pause_s)
    writer.write(_event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}) + b"data: [DONE]\n\n")
    await writer.drain()


def words_for(body: bytes) -> str:
    """The text that answers a request: with the number in it, if it has one, so that no two sentences are alike."""
    number = re.search(rb"number (\d+)", body)
    if number is None:
        return WORDS
    first, *others = WORDS.split("train")
    return first + "".join(f"train {number[1].decode()}/{place}{part}" for place, part in enumerate(others))


def _event(document: object) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"
