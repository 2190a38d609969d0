"""Films: ``/videos`` jobs. Submitted once, polled, fetched, and deleted when the caller goes away.

A job is never submitted twice: after an id was returned, a failure is a failure (a film costs minutes of a GPU).
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from gensafe.core.errors import BackendError, BackendUnavailable, GensafeError, InvalidRequest
from gensafe.core.types import GenerationJob, Image, Modality, Progress, Text
from gensafe.media.codecs import encode
from gensafe_backends.openai_http.chat import prompt_text
from gensafe_backends.openai_http.media import Made, made, named
from gensafe_backends.openai_http.options import Options
from gensafe_backends.openai_http.wire import Emit, NotTaken, Wire, error_names

FIRST_POLL_S: Final = 1.0  # seconds; films take minutes. Chosen by eye, not measured
SLOWEST_POLL_S: Final = 5.0  # seconds; the most that a finished film waits to be fetched. Chosen by eye, not measured
DELETE_S: Final = 5.0  # how long a cancelled job's deletion may take
_ID: Final = re.compile(r"[A-Za-z0-9_.:\-]{1,200}\Z")


async def film(wire: Wire, options: Options, job: GenerationJob, seed: int, emit: Emit[Made | Progress]) -> None:
    """Submit a film, wait for it and fetch it."""
    started = await wire.json("POST", "/videos", job=True, **_content(options, job, seed))
    name = started.get("id")
    if not isinstance(name, str) or not _ID.match(name):
        raise BackendError("the engine's answer names no video job")
    try:
        await _finished(wire, name, started, emit)
        async with wire.answer("GET", f"/videos/{name}/content") as response:
            data = await wire.body(response)
    except BaseException as error:
        with suppress(GensafeError, asyncio.CancelledError, TimeoutError):
            await asyncio.wait_for(asyncio.shield(wire.json("DELETE", f"/videos/{name}", retry=False)), DELETE_S)
        if isinstance(error, NotTaken):  # a question about a job; the job itself was taken
            raise BackendUnavailable(error.message, fix=error.fix) from error
        raise
    emit(made(data, Modality.VIDEO))


async def _finished(wire: Wire, name: str, state: Mapping[str, Any], emit: Emit[Made | Progress]) -> None:
    pause = FIRST_POLL_S
    while True:
        progress, status = state.get("progress"), state.get("status")
        if isinstance(progress, int | float) and 0 <= progress <= 100:
            emit(Progress(int(progress), 100))
        if status == "completed":
            return
        if status not in ("queued", "in_progress", "processing"):
            raise BackendError(f"the engine's video job failed{error_names(state.get('error'))}")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, SLOWEST_POLL_S)
        state = await wire.json("GET", f"/videos/{name}", job=True)


def _content(options: Options, job: GenerationJob, seed: int) -> dict[str, Any]:
    pictures = [m for m in job.inputs if isinstance(m, Image)]
    if len(pictures) > 1 or any(not isinstance(m, Text | Image) for m in job.inputs):
        raise InvalidRequest("this engine makes video from words and at most one image", field="inputs")
    given = job.parameters.given()
    width, height = given.pop("width", None), given.pop("height", None)
    fields: dict[str, Any] = {"model": options.model, "prompt": prompt_text(job)}
    if width and height:
        fields["size"] = f"{width}x{height}"
    if "seconds" in given:
        given["seconds"] = f"{given['seconds']:g}"
    if options.dialect.image_seed:
        fields["seed"] = seed
    fields |= named(given, options.dialect.video)
    if not options.dialect.video_multipart:
        if pictures:
            data = base64.b64encode(encode(pictures[0], "image/png")).decode("ascii")
            fields["input_reference"] = f"data:image/png;base64,{data}"
        return {"json": fields}
    files: list[tuple[str, tuple[str | None, bytes, str] | tuple[None, str]]] = [
        (name, (None, str(value))) for name, value in fields.items()
    ]
    if pictures:
        files.append(("input_reference", ("first.png", encode(pictures[0], "image/png"), "image/png")))
    return {"files": files}
