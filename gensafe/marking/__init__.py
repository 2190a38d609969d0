"""Embed, encode, and see the mark again on the encoded bytes: the marking half of the release gate."""

from gensafe.marking.runner import Marker

__all__ = ["Marker"]
