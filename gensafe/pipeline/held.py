"""A judged draft as bytes and back, so that it can wait, sealed, for a person.

One ``.npz``: ``facts`` is UTF-8 JSON (request, admission, generation, verdict), the other arrays are the medium,
sample for sample. The prompt is not in it, and of the inputs and the engine's answer only those files that may carry
credentials: these go on into the output's manifest. Of the others what follows needs only the digests.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import InvalidRequest, RegistryError
from gensafe.core.plain import from_plain, to_plain
from gensafe.core.types import (
    Admission,
    Answer,
    Audio,
    Draft,
    GenerationJob,
    GenerationRecord,
    GenerationRequest,
    Image,
    InputMedia,
    Judged,
    Media,
    Parameters,
    Text,
    Verdict,
    Video,
)
from gensafe.media.sniff import sniff
from gensafe.provenance.sources import may_carry

FORMAT: Final = 1  # of the sealed blob; raised when older programs could misread it


def pack(judged: Judged) -> bytes:
    """Serialise a draft with its admission and verdict."""
    admission, request = judged.admission, judged.admission.request
    arrays, medium = _arrays(judged.draft.media)
    arrays |= _carried(judged)
    facts = {
        "format": FORMAT,
        "request": to_plain(replace(request, prompt="", inputs=(), messages=(), parameters=Parameters(), subject="")),
        "inputs": [{"media_type": item.media_type or sniff(item.data), "name": item.name} for item in request.inputs],
        "seed": admission.job.seed,
        "record_id": admission.record_id,
        "intent_index": admission.intent_index,
        "prompt_verdict": to_plain(admission.prompt_verdict),
        "prompt_commitment": admission.prompt_commitment,
        "input_digests": list(admission.input_digests),
        "key_epoch": admission.key_epoch,
        "subject": admission.subject,
        "owner": admission.owner,
        "generation": to_plain(judged.draft.record),
        "dropped": judged.draft.answer.dropped if judged.draft.answer else "",
        "verdict": to_plain(judged.verdict),
        "medium": medium,
    }
    out = io.BytesIO()
    np.savez_compressed(out, allow_pickle=False, facts=np.frombuffer(json.dumps(facts).encode(), np.uint8), **arrays)
    return out.getvalue()


def unpack(data: bytes) -> Judged:
    """The draft again.

    Raises:
        RegistryError: not something ``pack`` made.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            facts = json.loads(arrays["facts"].tobytes())
            if facts["format"] != FORMAT:
                raise RegistryError(f"a held draft of format {facts['format']}, this version reads {FORMAT}")
            kept = {name: arrays[name] for name in arrays.files if name != "facts"}
            media = _media(facts["medium"], kept)
        request = replace(
            from_plain(GenerationRequest, facts["request"]),
            inputs=tuple(
                InputMedia(_file(kept, f"input{number}"), item["media_type"], item["name"])
                for number, item in enumerate(facts["inputs"])
            ),
        )
        admission = Admission(
            request=request,
            job=GenerationJob("", request.modality, (), facts["seed"], request.max_tokens, request.model),
            record_id=facts["record_id"],
            intent_index=facts["intent_index"],
            prompt_verdict=from_plain(Verdict, facts["prompt_verdict"]),
            prompt_commitment=facts["prompt_commitment"],
            input_digests=tuple(facts["input_digests"]),
            key_epoch=facts["key_epoch"],
            subject=facts.get("subject", ""),  # drafts of older versions have neither
            owner=facts.get("owner", ""),
        )
        answer = Answer(_file(kept, "answer"), facts["dropped"]) if "answer" in kept else None
        draft = Draft(media, from_plain(GenerationRecord, facts["generation"]), answer=answer)
        return Judged(admission, draft, from_plain(Verdict, facts["verdict"]))
    except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile, InvalidRequest) as error:
        raise RegistryError("a held draft is damaged") from error


def _carried(judged: Judged) -> dict[str, NDArray[Any]]:
    """Files whose credentials are to go into the output's manifest: they are validated when it is signed."""
    files = {f"input{n}": item.data for n, item in enumerate(judged.admission.request.inputs)}
    if judged.draft.answer is not None:
        files["answer"] = judged.draft.answer.data
    return {name: np.frombuffer(data, np.uint8) for name, data in files.items() if may_carry(data)}


def _file(arrays: dict[str, NDArray[Any]], name: str) -> bytes:
    return arrays[name].tobytes() if name in arrays else b""


def _arrays(media: Media) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    match media:
        case Text():
            return {}, {"kind": "text", "text": media.text}
        case Image():
            return {"pixels": media.pixels}, {"kind": "image"}
        case Audio():
            return {"samples": media.samples}, {"kind": "audio", "rate": media.rate}
        case Video():
            sound = {"samples": media.audio.samples} if media.audio else {}
            rate = media.audio.rate if media.audio else 0
            return {"frames": media.frames, **sound}, {"kind": "video", "fps": media.fps, "rate": rate}


def _media(medium: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Media:
    match medium["kind"]:
        case "text":
            return Text(medium["text"])
        case "image":
            return Image(arrays["pixels"])
        case "audio":
            return Audio(arrays["samples"], medium["rate"])
        case "video":
            sound = Audio(arrays["samples"], medium["rate"]) if medium["rate"] else None
            return Video(arrays["frames"], medium["fps"], sound)
    raise RegistryError("a held draft of no known medium")
