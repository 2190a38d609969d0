"""Contract of the ``gensafe.watermarks`` plugin point: what every ``Watermarker`` must do.

Use it from your own tests:

    from gensafe.testing.watermark_contract import WatermarkContract

    class TestMine(WatermarkContract):
        def watermarker(self): return create({})
        def media(self): return Image(...)         # carries a mark
        def tiny(self): return Image(...)          # cannot carry one
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from typing import Any

from gensafe.core.errors import CannotCarry, GensafeError
from gensafe.core.ports import Watermarker
from gensafe.core.types import PAYLOAD_BYTES, MarkLevel, Media, Modality, Text

KEY = bytes(range(32))  # any 32 bytes would do
OTHER_KEY = bytes(range(1, 33))  # any others
PAYLOAD = bytes.fromhex("1f23456789abcd")
PRESENCE_P = 1e-6  # promise 4 of docs/architecture.md: 1 in a million


class WatermarkContract(ABC):
    """Inherit and name the plugin and two media; pytest collects the ``test_`` methods."""

    @abstractmethod
    def watermarker(self) -> Watermarker:
        """The plugin under test, freshly created."""

    @abstractmethod
    def media(self) -> Media:
        """A medium that carries a mark."""

    @abstractmethod
    def tiny(self) -> Media:
        """A medium too small or too short to carry one."""

    def test_states_scheme_and_modality(self) -> None:
        """The scheme is named (it goes into manifests), the modality is a known one."""
        plugin = self.watermarker()
        assert plugin.scheme
        assert plugin.scheme.isascii()
        assert plugin.modality in Modality
        assert plugin.modality is not Modality.TEXT

    def test_reads_back_what_it_embedded(self) -> None:
        """RECORD with the payload, at a stated p-value, with the attempts counted."""
        plugin = self.watermarker()
        found = plugin.detect(plugin.embed(self.media(), PAYLOAD, KEY), KEY)
        assert found.level is MarkLevel.RECORD
        assert found.payload == PAYLOAD
        assert len(PAYLOAD) == PAYLOAD_BYTES
        assert 0 < found.p_value <= PRESENCE_P
        assert found.attempts >= 1
        assert found.scheme

    def test_keeps_kind_shape_rate_and_type(self) -> None:
        """Nothing but sample values changes, and the input is left alone."""
        before, untouched = self.media(), self.media()
        after = self.watermarker().embed(before, PAYLOAD, KEY)
        assert type(after) is type(before)
        _assert_same_form(before, after)
        _assert_equal(before, untouched)

    def test_is_deterministic(self) -> None:
        """Same medium, payload and key, same output: what was signed can be made again."""
        first = self.watermarker().embed(self.media(), PAYLOAD, KEY)
        _assert_equal(first, self.watermarker().embed(self.media(), PAYLOAD, KEY))

    def test_another_payload_reads_as_itself(self) -> None:
        """The payload is carried, not a presence bit."""
        plugin = self.watermarker()
        other = bytes([PAYLOAD[0]]) + bytes(b ^ 0x5A for b in PAYLOAD[1:])
        assert plugin.detect(plugin.embed(self.media(), other, KEY), KEY).payload == other

    def test_says_nothing_without_a_mark_or_under_another_key(self) -> None:
        """No payload, and no claim of presence."""
        plugin = self.watermarker()
        for item, key in ((self.media(), KEY), (plugin.embed(self.media(), PAYLOAD, KEY), OTHER_KEY)):
            found = plugin.detect(item, key)
            assert found.payload is None
            assert found.level in (MarkLevel.NONE, MarkLevel.UNDECIDABLE)
            assert found.p_value > PRESENCE_P

    def test_strength_is_honoured(self) -> None:
        """More strength, more change: the gate relies on it for its one retry."""
        plugin = self.watermarker()
        gentle = plugin.embed(self.media(), PAYLOAD, KEY)
        strong = plugin.embed(self.media(), PAYLOAD, KEY, 1.5)
        assert _distance(self.media(), strong) > _distance(self.media(), gentle)
        assert plugin.detect(strong, KEY).payload == PAYLOAD

    def test_refuses_what_cannot_carry(self) -> None:
        """CannotCarry with a reason at embedding; never a false claim at detection."""
        plugin = self.watermarker()
        reason = ""
        try:
            plugin.embed(self.tiny(), PAYLOAD, KEY)
        except CannotCarry as refusal:
            reason = str(refusal)
        assert reason, "a tiny medium was marked, or refused without a reason"
        assert plugin.detect(self.tiny(), KEY).level in (MarkLevel.NONE, MarkLevel.UNDECIDABLE)

    def test_raises_only_its_own_errors(self) -> None:
        """A wrong kind of medium and a wrong key are GensafeErrors."""
        plugin = self.watermarker()
        for item, key in ((Text("no"), KEY), (self.media(), b"short")):
            for call in (lambda i, k: plugin.embed(i, PAYLOAD, k), lambda i, k: plugin.detect(i, k)):
                try:
                    call(item, key)
                except GensafeError:
                    continue
                raise AssertionError("accepted a wrong medium or key")


def _arrays(media: Media) -> dict[str, Any]:
    """Array and scalar fields of a medium, nested ones by dotted name."""
    out: dict[str, Any] = {}
    for item in fields(media):
        value = getattr(media, item.name)
        if hasattr(value, "__dataclass_fields__"):
            out |= {f"{item.name}.{name}": inner for name, inner in _arrays(value).items()}
        else:
            out[item.name] = value
    return out


def _assert_same_form(first: Media, second: Media) -> None:
    a, b = _arrays(first), _arrays(second)
    assert a.keys() == b.keys()
    for name, value in a.items():
        if hasattr(value, "shape"):
            assert (value.shape, value.dtype) == (b[name].shape, b[name].dtype), name
        else:
            assert value == b[name], name


def _assert_equal(first: Media, second: Media) -> None:
    _assert_same_form(first, second)
    assert _distance(first, second) == 0


def _distance(first: Media, second: Media) -> float:
    """Sum of squared differences over all arrays."""
    a, b = _arrays(first), _arrays(second)
    total = 0.0
    for name, value in a.items():
        if hasattr(value, "shape"):
            total += float(((value.astype("float64") - b[name].astype("float64")) ** 2).sum())
    return total
