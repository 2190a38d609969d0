"""The HTTP app: OpenAI-compatible front, public verify page, Soft Binding Resolution API, verdict page."""

from gensafe.server.http.app import create_app
from gensafe.server.http.classify import Classifying
from gensafe.server.http.openai import Front

__all__ = ["Classifying", "Front", "create_app"]
