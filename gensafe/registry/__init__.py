"""Records of released outputs, intents of requests, blobs, and the sealed side table that can be erased."""

from gensafe.registry.model import Hold, Intent, IntentState, Record
from gensafe.registry.registry import Registry

__all__ = ["Hold", "Intent", "IntentState", "Record", "Registry"]
