"""``POST /v1/audio/speech`` and ``/v1/audio/transcriptions``."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from starlette.responses import JSONResponse, PlainTextResponse, Response

from gensafe.core.errors import InvalidRequest
from gensafe.core.types import GenerationRequest, Modality, Parameters
from gensafe.server.http.openai.fields import Fields
from gensafe.server.http.openai.forms import must_be, no_more_files, one_file, read_form
from gensafe.server.http.openai.front import Call
from gensafe.server.http.openai.provenance import gensafe_object, headers_of, visible_text
from gensafe.server.http.openai.wishes import read_labels, read_subject

_TYPES: Final = {"mp3": "audio/mpeg", "opus": "audio/ogg", "flac": "audio/flac", "wav": "audio/wav"}
_UNSIGNABLE: Final = {
    "pcm": "bare samples carry no signature and no label",
    "aac": "AAC streams carry no signature and no label",
}
TRANSCRIBE: Final = "Write down, word for word, what is said in this recording."


async def create_speech(call: Call) -> Response:
    """Say a text; the body of the answer is the signed file."""
    call.prompt_param = "input"
    call.params |= {"prompt": "input", "media_type": "response_format"}
    asked = _read_speech(call, await call.json())
    wanted = _without_a_voice_nobody_has(call, asked)
    released = await call.whole(wanted)
    signed = released.recorded.signed
    headers = headers_of(released) | {"ETag": f'"{signed.digest}"'}
    if wanted != asked:
        headers["X-GenSafe-Ignored"] = "voice"
    return Response(signed.data, media_type=signed.marked.media_type, headers=headers)


def _read_speech(call: Call, fields: Fields) -> GenerationRequest:
    model = call.model(fields)
    kind = fields.text("response_format", "mp3")
    if kind in _UNSIGNABLE:
        fields.wrong("response_format", f"{_UNSIGNABLE[kind]}", fix=f"one of: {', '.join(_TYPES)}")
    if kind not in _TYPES:
        fields.wrong("response_format", "is not supported", fix=f"one of: {', '.join(_TYPES)}")
    labels = read_labels(fields)
    speed = fields.number("speed")
    wanted = GenerationRequest(
        request_id=call.request_id,
        prompt=fields.needed("input"),
        modality=Modality.AUDIO,
        model=model,
        seed=fields.integer("seed"),
        media_type=_TYPES[kind],
        tenant=call.identity.tenant,
        subject=read_subject(fields),
        visible_label=labels.visible_label,
        label_profile=labels.label_profile,
        parameters=Parameters(
            voice=_voice(fields), speed=None if speed == 1 else speed, language=fields.text("language")
        ),
    )
    fields.refuse("is not supported", instructions=("",))
    fields.refuse("audio is returned as one signed file", stream_format=("audio",))
    fields.end()
    return wanted


def _voice(fields: Fields) -> str:
    """Needed by this API; ``default`` is the engine's own."""
    voice = fields.raw("voice")
    if isinstance(voice, dict):
        fields.wrong("voice", "own voices are not kept here", fix="name a voice")
    voice = fields.text("voice", "default")
    return "" if voice == "default" else voice


def _without_a_voice_nobody_has(call: Call, wanted: GenerationRequest) -> GenerationRequest:
    """This API demands a voice of everybody: to an engine that has only one, its name says nothing."""
    if not wanted.parameters.voice:
        return wanted
    engine, _ = call.front.chain.engines.choose(wanted.model, Modality.AUDIO, frozenset())
    if "voice" in engine.can.parameters:
        return wanted
    return replace(wanted, parameters=replace(wanted.parameters, voice=""))


async def create_transcription(call: Call) -> Response:
    """Write down what is said in a recording, where an engine reads audio; judged and logged like any text."""
    call.prompt_param = "file"
    call.params |= {"inputs": "file"}
    fields, files = await read_form(call.request, call.max_bytes)
    sound = one_file(files, "file")
    must_be([sound], Modality.AUDIO, "file")
    no_more_files(files)
    model = call.model(fields)
    kind = fields.choice("response_format", ("json", "text"), "json")
    hint = fields.text("prompt").strip()
    wanted = GenerationRequest(
        request_id=call.request_id,
        prompt=f"{TRANSCRIBE} {hint}".strip(),
        modality=Modality.TEXT,
        inputs=(sound,),
        model=model,
        seed=fields.integer("seed"),
        tenant=call.identity.tenant,
        subject=read_subject(fields),
        parameters=Parameters(temperature=_unless_zero(fields), language=fields.text("language")),
    )
    fields.refuse("is not supported", chunking_strategy=("auto",), include=(), known_speaker_names=())
    fields.refuse("is not supported", timestamp_granularities=(), known_speaker_references=(), stream=(False, "false"))
    fields.end()
    if not any(Modality.AUDIO in e.can.inputs and Modality.TEXT in e.can.outputs for e in call.front.chain.engines):
        raise InvalidRequest("no engine of this server reads audio", field="model", fix="configure one")
    released = await call.whole(wanted)
    text = visible_text(released)
    if kind == "text":
        return PlainTextResponse(text, headers=headers_of(released))
    return JSONResponse({"text": text, "gensafe": gensafe_object(released)}, headers=headers_of(released))


def _unless_zero(fields: Fields) -> float | None:
    """0 is this API's default, and means "choose it yourself"."""
    return fields.number("temperature") or None
