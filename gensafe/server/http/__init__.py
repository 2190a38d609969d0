"""The HTTP app: OpenAI-compatible front, public verify page, Soft Binding Resolution API, verdict page."""

from gensafe.server.http.app import MAX_BODY, create_app
from gensafe.server.http.classify import Classifying
from gensafe.server.http.openai import Front

__all__ = ["MAX_BODY", "Classifying", "Front", "create_app"]
