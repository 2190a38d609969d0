"""Text: UTF-8, written in Unicode normalisation form C."""

from __future__ import annotations

import unicodedata

from gensafe.core.errors import UnreadableMedia, UnsupportedMedia
from gensafe.core.types import Text
from gensafe.media.limits import Limits
from gensafe.media.sniff import is_text


def decode_text(data: bytes, limits: Limits) -> Text:
    """Decode UTF-8 bytes. The text is returned as it stands, not normalised: checks must see what is there.

    Raises:
        UnreadableMedia: not UTF-8, or it holds control characters.
        MediaLimitExceeded: too long.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableMedia(f"not UTF-8 at byte {error.start}") from None
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
