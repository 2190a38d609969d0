"""Media in and out: codecs with limits, perceptual fingerprints, and a worker process for untrusted files.

>>> from gensafe.media import decode, encode, sniff
>>> data = encode(Text("hello"), "text/plain")
>>> sniff(data), decode(data)
('text/plain', Text(text='hello'))
"""

from gensafe.media.codecs import decode, encode
from gensafe.media.limits import LIMITS, Limits
from gensafe.media.names import name_contradicts
from gensafe.media.oddities import oddities
from gensafe.media.parts import Part, read_parts, read_parts_untrusted, unread_parts
from gensafe.media.sandbox import decode_untrusted
from gensafe.media.sniff import DEFAULT_MEDIA_TYPE, ENCODABLE, READABLE, canonical_type, modality_of, sniff
from gensafe.media.streams import open_file, open_parts, overview

__all__ = [
    "DEFAULT_MEDIA_TYPE",
    "ENCODABLE",
    "LIMITS",
    "READABLE",
    "Limits",
    "Part",
    "canonical_type",
    "decode",
    "decode_untrusted",
    "encode",
    "modality_of",
    "name_contradicts",
    "oddities",
    "open_file",
    "open_parts",
    "overview",
    "read_parts",
    "read_parts_untrusted",
    "sniff",
    "unread_parts",
]
