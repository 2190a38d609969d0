"""The small HTTP app: the public verify page, the Soft Binding Resolution API, and a health check."""

from gensafe.server.http.app import create_app

__all__ = ["create_app"]
