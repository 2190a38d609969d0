"""Pictures, edits of pictures, speech, sound, and text from sound: one exchange each."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gensafe.core.errors import BackendError, InvalidRequest, MediaError
from gensafe.core.types import Answer, Audio, GenerationJob, Image, Media, Modality, Text, Video
from gensafe.media.codecs import encode
from gensafe.media.parts import read_parts_untrusted
from gensafe_backends.openai_http.chat import prompt_text
from gensafe_backends.openai_http.options import Options
from gensafe_backends.openai_http.wire import Emit, Wire, error_names

_REFUSES_RESPONSE_FORMAT: Final = ("gpt-image", "chatgpt-image")  # they always answer in base64


async def draw(wire: Wire, options: Options, job: GenerationJob, seed: int, emit: Emit[Made]) -> None:
    """A picture from words, or an edit of the pictures that came as inputs."""
    pictures = [m for m in job.inputs if isinstance(m, Image)]
    if any(not isinstance(m, Text | Image) for m in job.inputs):
        raise InvalidRequest("this engine draws from words and images", field="inputs")
    fields = _picture_fields(options, job, seed)
    if pictures:
        files = [
            ("image" if len(pictures) == 1 else "image[]", (f"{n}.png", encode(p, "image/png"), "image/png"))
            for n, p in enumerate(pictures)
        ]
        form = {name: str(value) for name, value in fields.items()}
        answer = await wire.json("POST", "/images/edits", data=form, files=files)
    else:
        answer = await wire.json("POST", "/images/generations", json=fields)
    emit(made(_base64(answer), Modality.IMAGE))


def _picture_fields(options: Options, job: GenerationJob, seed: int) -> dict[str, Any]:
    given = job.parameters.given()
    width, height = given.pop("width", None), given.pop("height", None)
    if (width is None) != (height is None):
        raise InvalidRequest("width and height go together", field="parameters.width")
    fields: dict[str, Any] = {
        "model": options.model,
        "prompt": prompt_text(job),
        "n": 1,
        "size": f"{width}x{height}" if width else options.image_size,
    }
    if options.dialect.image_response_format and not options.model.startswith(_REFUSES_RESPONSE_FORMAT):
        fields["response_format"] = "b64_json"
    if options.dialect.image_seed:
        fields["seed"] = seed
    return fields | named(given, options.dialect.image)


async def speak(wire: Wire, options: Options, job: GenerationJob, seed: int, emit: Emit[Made]) -> None:
    """Speech of the prompt's words, or a sound that the prompt describes."""
    if any(not isinstance(m, Text) for m in job.inputs):
        raise InvalidRequest("this engine makes audio from words only", field="inputs")
    given = job.parameters.given()
    fields: dict[str, Any] = {"model": options.model, "input": prompt_text(job), "response_format": "wav"}
    if options.sound == "speech":
        path = "/audio/speech"
        fields["voice"] = given.pop("voice", options.voice)
        fields |= named(given, options.dialect.speech)
    else:
        path = options.dialect.sound
        fields["seed"] = seed
        names = {"seconds": "audio_length", "negative_prompt": "negative_prompt", "steps": "num_inference_steps"}
        fields |= named(given, names | {"guidance": "guidance_scale"})
    async with wire.answer("POST", path, json=fields) as response:
        data = await wire.body(response)
    emit(made(data, Modality.AUDIO))


async def transcribe(wire: Wire, options: Options, job: GenerationJob, emit: Emit[str]) -> None:
    """The words of the one sound that came as input. The prompt, if any, is a hint to the recogniser."""
    sounds = [m for m in job.inputs if isinstance(m, Audio)]
    file = ("speech.wav", encode(sounds[0], "audio/wav"), "audio/wav")
    form = {"model": options.transcription_model, "response_format": "json", "prompt": job.prompt}
    if job.parameters.language:
        form["language"] = job.parameters.language
    answer = await wire.json("POST", "/audio/transcriptions", data=form, files=[("file", file)])
    text = answer.get("text")
    if not isinstance(text, str) or not text.strip():
        raise BackendError("the engine's answer holds no transcript")
    if not text.isascii() and any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        raise BackendError("the engine's text holds half a character")
    emit(text)


@dataclass(frozen=True, slots=True)
class Made:
    """A medium and the file it came in: that may carry credentials, which decoding drops."""

    media: Media
    answer: Answer


def made(data: bytes, modality: Modality) -> Made:
    """See ``medium``; keeps the file as well."""
    return Made(medium(data, modality), Answer(data))


def medium(data: bytes, modality: Modality) -> Media:
    """Decode what an engine sent, in a worker process; one medium of the wanted kind and nothing beside it.

    Raises:
        BackendError: unreadable, of another kind, or more than one.
    """
    try:
        parts = read_parts_untrusted(data)
    except MediaError as error:
        raise BackendError(f"the engine's {modality} cannot be read: {error.message}") from error
    found = parts[0].media
    if not isinstance(found, Text | Image | Audio | Video) or found.modality is not modality:
        raise BackendError(f"the engine's answer is not {modality}")
    further = [p for p in parts[1:] if not p.view]  # transparency is laid on white: no other look goes on
    if further:  # one was asked for and one is judged: nothing is dropped unseen
        raise BackendError(f"the engine's answer holds more than one medium: {further[0].name}")
    return found


def named(given: Mapping[str, object], names: Mapping[str, str]) -> dict[str, Any]:
    """Given parameters under the engine's names; admission let only these through, so a stray one is a fault of ours.

    Raises:
        InvalidRequest: one that this task does not take.
    """
    fields: dict[str, Any] = {}
    for name, value in given.items():
        if name.startswith("extra."):
            fields[name.removeprefix("extra.")] = value
        elif name in names:
            fields[names[name]] = value
        else:
            raise InvalidRequest("this engine does not take it", field=f"parameters.{name}")
    return fields


def _base64(answer: Mapping[str, Any]) -> bytes:
    """The one picture of an answer. URLs are not followed: nothing is fetched that was not configured."""
    try:
        entry = answer["data"][0]
        text = entry["b64_json"]
        if not isinstance(text, str):
            raise TypeError
        if text.startswith("data:"):
            text = text.partition(",")[2]
        return base64.b64decode("".join(text.split()), validate=True)
    except (KeyError, IndexError, TypeError, binascii.Error, ValueError) as error:
        names = error_names(answer.get("error"))
        raise BackendError(f"the engine's answer has no image{names}", fix="it must answer in base64") from error
