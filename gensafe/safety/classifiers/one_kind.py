"""What classifiers of one kind of medium share: identity, card, and the refusal of every other kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

from gensafe.core.errors import SafetyUnavailable
from gensafe.core.ports import Card
from gensafe.core.types import Assessment, Audio, ClassifierId, Image, Media, Modality, Stage, Video
from gensafe.safety.cards import read_card

M = TypeVar("M", Image, Audio, Video)
_READS = {Modality.IMAGE: "images", Modality.AUDIO: "audio", Modality.VIDEO: "video"}


class OneKind(Generic[M]):
    """A Classifier of one kind of medium. A subclass names itself and judges; the rest is here.

    Class attributes: ``name``, ``version``, ``reads`` (Image, Audio or Video).
    """

    name: str
    version: str
    reads: type[M]
    modality: Modality  # of ``reads``

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.modality = cls.reads.modality

    def weights(self) -> str:
        """Digest of the weights; "" = rules only."""
        return ""

    def identity(self) -> ClassifierId:
        """Name, version and weights. Lists and other options are in the policy's digest."""
        return ClassifierId(self.name, self.version, self.weights())

    def card(self) -> Card:
        """The card in docs/cards."""
        return read_card(self.name)

    def assess(self, item: Media, stage: Stage) -> Assessment:
        """Judge one medium.

        Raises:
            SafetyUnavailable: of another kind, or as ``judge``.
        """
        if not isinstance(item, self.reads):
            raise SafetyUnavailable(f"{self.name} reads {_READS[self.modality]}")
        return self.judge(item, stage)

    def judge(self, item: M, stage: Stage) -> Assessment:
        """What the subclass finds."""
        raise NotImplementedError


class Listed(Protocol):
    """An entry of a block list."""

    @property
    def category(self) -> str:
        """What a match is found as."""


def with_listed(card: Card, entries: Sequence[Listed]) -> Card:
    """A card with the categories of the lists that are loaded."""
    return replace(card, categories=tuple(sorted({*card.categories, *(entry.category for entry in entries)})))
