"""The process of one engine: loads one backend and runs its jobs in threads, until the server hangs up.

Started by ``process`` as ``python -m gensafe.engines.worker FD``; speaks ``wire`` on that socket. Messages in: the
backend and its options, then ``run`` (a job), ``cancel``, ``encode`` (text to token ids), ``warm`` (get ready now).
Messages out carry the id of the job they belong to: ``event``, ``error``, ``end``, ``ids``.
"""

from __future__ import annotations

import base64
import os
import pickle
import signal
import socket
import sys
import threading
from typing import Any

from gensafe.core import plugins
from gensafe.core.errors import BackendError, GensafeError
from gensafe.core.plain import to_plain
from gensafe.core.ports import Backend, SamplingMark
from gensafe.engines.wire import Channel, Closed, error_out, event_out, job_in


def main() -> None:
    """Serve one engine on the socket that was handed over."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to handle
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    try:
        message, _ = channel.receive()
        backend: Backend = plugins.load("gensafe.backends", message["backend"], message["options"])
    except Closed:
        return
    except GensafeError as error:
        channel.send(error_out(error))
        return
    except Exception as error:  # the plugin's own fault, told in its own words
        channel.send(error_out(BackendError(f"{type(error).__name__}: {error}")))
        return
    can = backend.capabilities()
    channel.send(
        {
            "name": backend.name,
            "version": backend.version,
            "models": dict(backend.models()),
            "tokenizer": backend.tokenizer() is not None,
            "can": {
                "outputs": sorted(can.outputs),
                "inputs": sorted(can.inputs),
                "sampling_marks": can.sampling_marks,
                "streaming_text": can.streaming_text,
                "description": can.description,
                "parameters": sorted(can.parameters),
            },
        }
    )
    _Serving(channel, backend).run()


class _Serving:
    def __init__(self, channel: Channel, backend: Backend) -> None:
        self._channel, self._backend = channel, backend
        self._cancelled: dict[int, threading.Event] = {}

    def run(self) -> None:
        while True:
            try:
                message, arrays = self._channel.receive()
            except Closed:
                os._exit(0)  # the server is gone; what still runs has nobody to run for
            match message["do"]:
                case "run":
                    gone = self._cancelled[message["id"]] = threading.Event()
                    threading.Thread(target=self._job, args=(message, arrays, gone), daemon=True).start()
                case "cancel":
                    if message["id"] in self._cancelled:
                        self._cancelled[message["id"]].set()
                case "warm":
                    warm = getattr(self._backend, "warm", None)
                    if warm is not None:
                        threading.Thread(target=warm, daemon=True).start()
                case "encode":
                    threading.Thread(target=self._encode, args=(message,), daemon=True).start()

    def _job(self, message: dict[str, Any], arrays: tuple[Any, ...], gone: threading.Event) -> None:
        number = message["id"]
        try:
            job = job_in(message["job"], arrays)
            mark: SamplingMark | None = None
            if message["mark"]:  # made by the server for this very process: the one thing that is unpickled
                mark = pickle.loads(base64.b64decode(message["mark"]))  # noqa: S301
            for event in self._backend.generate(job, mark, gone.is_set):
                said, out = event_out(event)
                self._channel.send({"id": number, **said}, out)
            self._channel.send({"id": number, "event": "end"})
        except Closed:
            os._exit(0)
        except GensafeError as error:
            self._channel.send({"id": number, **error_out(error)})
        except Exception as error:  # a backend's stray exception: named by its type, since its words may hold a prompt
            self._channel.send({"id": number, **error_out(BackendError(f"the engine failed: {type(error).__name__}"))})
        finally:
            self._cancelled.pop(number, None)

    def _encode(self, message: dict[str, Any]) -> None:
        tokenizer = self._backend.tokenizer()
        ids = tokenizer.encode(message["text"]) if tokenizer else []
        self._channel.send({"id": message["id"], "event": "ids", "ids": to_plain([int(i) for i in ids])})


if __name__ == "__main__":
    main()
