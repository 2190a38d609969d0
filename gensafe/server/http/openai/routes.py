"""Which path leads to which endpoint, and the role that its caller needs."""

from __future__ import annotations

from typing import Final

from starlette.routing import BaseRoute, Route

from gensafe.server.http.openai import chat, completions, models, records
from gensafe.server.http.openai.front import Front, Handler, endpoint

TABLE: Final[tuple[tuple[str, str, Handler, tuple[str, ...]], ...]] = (
    ("POST", "/v1/chat/completions", chat.create_chat, ("generate",)),
    ("POST", "/v1/completions", completions.create_completion, ("generate",)),
    ("GET", "/v1/models", models.list_models, ("generate",)),
    ("GET", "/v1/models/{model:path}", models.get_model, ("generate",)),
    ("GET", "/gensafe/v1/requests/{request_id}", records.get_request, ("generate",)),
    ("GET", "/gensafe/v1/records/{record_id}", records.get_record, ("generate", "verify")),
    ("GET", "/gensafe/v1/records/{record_id}/manifest", records.get_manifest, ("generate", "verify")),
    ("GET", "/gensafe/v1/records/{record_id}/proof", records.get_proof, ("generate", "verify")),
    ("GET", "/gensafe/v1/records/{record_id}/file", records.get_file, ("generate",)),
)


def routes(front: Front) -> list[BaseRoute]:
    """All routes of the front."""
    return [Route(path, endpoint(front, handler, *roles), methods=[method]) for method, path, handler, roles in TABLE]
