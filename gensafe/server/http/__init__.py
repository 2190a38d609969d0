"""The small HTTP app: the public verify page, the Soft Binding Resolution API, a health check, and the verdict page."""

from gensafe.server.http.app import create_app
from gensafe.server.http.classify import Classifying

__all__ = ["Classifying", "create_app"]
