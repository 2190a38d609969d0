"""Which path leads to which endpoint, and the role that its caller needs."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gensafe.server.http.openai import (
    audio,
    chat,
    completions,
    description,
    guards,
    images,
    models,
    moderations,
    records,
    responses,
    videos,
)
from gensafe.server.http.openai.front import Front, Handler, endpoint

TABLE: Final[tuple[tuple[str, str, Handler, tuple[str, ...]], ...]] = (
    ("POST", "/v1/chat/completions", chat.create_chat, ("generate",)),
    ("POST", "/v1/completions", completions.create_completion, ("generate",)),
    ("POST", "/v1/responses", responses.create_response, ("generate",)),
    ("POST", "/v1/images/generations", images.create_image, ("generate",)),
    ("POST", "/v1/images/edits", images.edit_image, ("generate",)),
    ("POST", "/v1/audio/speech", audio.create_speech, ("generate",)),
    ("POST", "/v1/audio/transcriptions", audio.create_transcription, ("generate",)),
    ("POST", "/v1/videos", videos.create_video, ("generate",)),
    ("GET", "/v1/videos", videos.list_videos, ("generate",)),
    ("GET", "/v1/videos/{video_id}", videos.get_video, ("generate",)),
    ("DELETE", "/v1/videos/{video_id}", videos.delete_video, ("generate",)),
    ("GET", "/v1/videos/{video_id}/content", videos.get_content, ("generate",)),
    ("POST", "/v1/videos/{video_id}/remix", videos.remix_video, ("generate",)),
    ("POST", "/v1/moderations", moderations.create_moderation, ("classify",)),
    ("POST", guards.LITELLM, guards.litellm_guardrail, ("classify",)),
    ("POST", guards.KONG, guards.kong_guardrail, ("classify",)),
    ("GET", "/v1/models", models.list_models, ("generate",)),
    ("GET", "/v1/models/{model:path}", models.get_model, ("generate",)),
    ("GET", "/gensafe/v1/requests/{request_id}", records.get_request, ("generate",)),
    ("GET", "/gensafe/v1/records/{record_id}", records.get_record, ("generate", "verify")),
    ("GET", "/gensafe/v1/records/{record_id}/manifest", records.get_manifest, ("generate", "verify")),
    ("GET", "/gensafe/v1/records/{record_id}/proof", records.get_proof, ("generate", "verify")),
    ("GET", "/gensafe/v1/records/{record_id}/file", records.get_file, ("generate",)),
)


def routes(front: Front) -> list[BaseRoute]:
    """All routes of the front, and their description."""

    async def describe(_: Request) -> Response:
        return JSONResponse(description.description())

    def route(method: str, path: str, handler: Handler, roles: tuple[str, ...]) -> Route:
        served = endpoint(front, handler, *roles)
        return Route(path, guards.by_key_header(served) if path == guards.LITELLM else served, methods=[method])

    return [Route(description.PATH, describe), *(route(*row) for row in TABLE)]
