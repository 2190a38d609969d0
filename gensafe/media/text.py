"""Text: UTF-8 (read also from UTF-16 and UTF-32 with a byte order mark), written in Unicode normalisation form C."""

from __future__ import annotations

import unicodedata

from gensafe.core.errors import UnreadableMedia, UnsupportedMedia
from gensafe.core.types import Text
from gensafe.media.limits import Limits
from gensafe.media.sniff import as_text, is_text


def decode_text(data: bytes, limits: Limits) -> Text:
    """Decode bytes as ``as_text``. The text is returned as it stands, not normalised: checks must see what is there.

    Raises:
        UnreadableMedia: in no encoding that can be told, or it holds control characters.
        MediaLimitExceeded: too long.
    """
    text = as_text(data)
    limits.check("max_characters", len(text))
    if not is_text(text):
        raise UnreadableMedia("the text holds control characters")
    return Text(text)


def encode_text(media: Text) -> bytes:
    """Encode as UTF-8 in form NFC.

    Raises:
        UnsupportedMedia: lone surrogates or control characters, which no reader would take back as text.
    """
    text = unicodedata.normalize("NFC", media.text)
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        raise UnsupportedMedia("the text holds lone surrogates") from None
    if not is_text(text):
        raise UnsupportedMedia("the text holds control characters")
    return data
