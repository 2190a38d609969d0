"""``POST /v1/images/generations`` and ``/v1/images/edits``."""

from __future__ import annotations

import base64
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from gensafe.core.errors import InvalidRequest
from gensafe.core.types import GenerationRequest, InputMedia, Modality, Parameters
from gensafe.pipeline import Released
from gensafe.server.http.openai.fields import Fields
from gensafe.server.http.openai.forms import must_be, no_more_files, read_form
from gensafe.server.http.openai.front import Call
from gensafe.server.http.openai.messages import from_data_url
from gensafe.server.http.openai.provenance import gensafe_object, headers_of
from gensafe.server.http.openai.wishes import read_labels, read_size, read_subject, refuse_more_than_one
from gensafe.server.work import offload

_TYPES: Final = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


async def create_image(call: Call) -> Response:
    """Generate an image."""
    return await _draw(call, await call.json(), ())


async def edit_image(call: Call) -> Response:
    """Generate an image from images; as a form, or as JSON with ``data:`` URLs."""
    fields, files = await read_form(call.request, call.max_bytes)
    pictures = (*files.pop("image", []), *_from_json(fields))
    if "mask" in files:
        raise InvalidRequest("masks are not supported", field="mask", fix="leave it out")
    no_more_files(files)
    if not pictures:
        fields.wrong("image", "is needed")
    must_be(pictures, Modality.IMAGE, "image")
    fields.refuse("is not supported", input_fidelity=("low",), mask=())
    call.params |= {"inputs": "image"}
    return await _draw(call, fields, pictures)


def _from_json(fields: Fields) -> list[InputMedia]:
    listed = fields.raw("images")
    if listed is None:
        return []
    if not isinstance(listed, list):
        fields.wrong("images", "must be a list")
    found = []
    for number, item in enumerate(listed):
        where = f"images[{number}]"
        if not isinstance(item, dict):
            raise InvalidRequest("must be an object", field=where)
        one = Fields(item, where)
        one.refuse("files are not kept here; send the image itself", file_id=())
        found.append(from_data_url(one.needed("image_url"), one.path("image_url")))
        one.end()
    return found


async def _draw(call: Call, fields: Fields, inputs: tuple[InputMedia, ...]) -> Response:
    call.stop_code = "content_policy_violation"
    call.params |= {"media_type": "output_format"}
    wanted, form = _read(call, fields, inputs)
    released = await call.whole(wanted)
    data = released.recorded.signed.data
    facts = gensafe_object(released)
    if form == "url":
        shown = {"url": str(call.request.url.replace(path=facts["file_url"], query=""))}
    else:
        shown = {"b64_json": (await offload(base64.b64encode, data)).decode()}
    return JSONResponse(_answer(call, released, shown, facts), headers=headers_of(released))


def _read(call: Call, fields: Fields, inputs: tuple[InputMedia, ...]) -> tuple[GenerationRequest, str]:
    model = call.model(fields)
    form = fields.choice("response_format", ("b64_json", "url"))
    kind = fields.choice("output_format", tuple(_TYPES))
    width, height = read_size(fields)
    refuse_more_than_one(fields)
    labels = read_labels(fields)
    wanted = GenerationRequest(
        request_id=call.request_id,
        prompt=fields.needed("prompt"),
        modality=Modality.IMAGE,
        inputs=inputs,
        model=model,
        seed=fields.integer("seed"),
        media_type=_TYPES.get(kind, ""),
        tenant=call.identity.tenant,
        subject=read_subject(fields),
        visible_label=labels.visible_label,
        label_profile=labels.label_profile,
        parameters=Parameters(
            width=width,
            height=height,
            steps=fields.integer("num_inference_steps"),
            guidance=fields.number("guidance_scale"),
            negative_prompt=fields.text("negative_prompt"),
        ),
    )
    fields.refuse("the engine's own is used", quality=("auto", "standard"), style=(), output_compression=(100, "100"))
    fields.refuse("images are opaque here", background=("auto", "opaque"))
    fields.refuse("the policy of this service applies", moderation=("auto",))
    fields.refuse(
        "no part of an image leaves before its log entry",
        stream=(False, "false"),
        partial_images=(0, "0"),
    )
    fields.end()
    return wanted, form


def _answer(call: Call, released: Released, shown: dict[str, str], facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "created": call.now_s,
        "data": [shown],
        "output_format": released.recorded.signed.marked.media_type.removeprefix("image/"),
        "gensafe": facts,
    }
