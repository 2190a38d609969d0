"""The OpenAI-compatible front: thin endpoints, each makes a GenerationRequest and renders what became of it."""

from gensafe.server.http.openai.frame import Frame
from gensafe.server.http.openai.front import Front
from gensafe.server.http.openai.routes import routes

__all__ = ["Frame", "Front", "routes"]
