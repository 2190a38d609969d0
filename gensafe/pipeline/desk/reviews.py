"""Held outputs: list them, look at them, decide about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe import media as codecs
from gensafe.core import ids
from gensafe.core.errors import InvalidRequest, NotFound, RegistryError
from gensafe.core.types import Audio, Image, Judged, Media, Text, Video
from gensafe.media.sniff import sniff
from gensafe.pipeline.copies import review_copy
from gensafe.pipeline.desk.base import Desk, Person
from gensafe.pipeline.held import unpack
from gensafe.registry import HeldOutput, OrderKind, ReviewDecision
from gensafe.registry.reviews import MAX_REVIEWER

PREVIEW_PIXELS: Final = 24  # a side: colours and masses can be seen, a face or a word cannot. Chosen by eye


@dataclass(frozen=True, slots=True)
class Copy:
    """A marked copy of a held output; ``copy_id`` is in its watermark where ``marked``, else ``note`` says why not."""

    data: bytes
    media_type: str
    copy_id: str
    marked: bool
    note: str
    log_index: int


def reviews(desk: Desk, person: Person, *, decided: bool = False) -> list[HeldOutput]:
    """Outputs that wait for a decision, oldest first; with ``decided`` the others as well."""
    queue = desk.registry.reviews
    return [item for item in (queue.all() if decided else queue.waiting()) if person.scope.sees(item.tenant)]


def review(desk: Desk, person: Person, review_id: str) -> HeldOutput:
    """One held output.

    Raises:
        NotFound: none of that id, or none that this person sees: the answers read the same.
    """
    item = desk.registry.reviews.get(review_id)
    if not person.scope.sees(item.tenant):
        raise NotFound(f"no held output {review_id}", field="id")
    return item


def preview(desk: Desk, person: Person, review_id: str) -> bytes:
    """A PNG of a held image or film, or of a sound's loudness, too coarse to show what it is of; empty for a text.

    Raises:
        NotFound: as ``review``.
    """
    judged = _draft(desk, review(desk, person, review_id))
    pixels = _coarse(judged.draft.media) if judged is not None else None
    return b"" if pixels is None else codecs.encode(Image(pixels), "image/png")


def copy_review(desk: Desk, person: Person, review_id: str) -> Copy:
    """A copy to look at, marked with an id of its own; who takes it is in the log before this returns.

    Raises:
        NotFound: as ``review``, or the output is not kept any more.
        InvalidRequest: nobody says who looks.
    """
    item = review(desk, person, review_id)
    if not person.name.strip() or len(person.name) > MAX_REVIEWER:
        raise InvalidRequest(
            "say who looks at it: it is logged", field="reviewer", fix=f"1 to {MAX_REVIEWER} characters"
        )
    judged = _draft(desk, item)
    if judged is None or desk.keys is None:
        raise NotFound("the output is not kept any more", field="id")
    copy_id = ids.new_record_id()
    copy = review_copy(desk.config, desk.keys, judged, item.review_id, copy_id)
    body = {
        "review_id": item.review_id,
        "record_id": item.record_id,
        "tenant": item.tenant,
        "reviewer": desk.registry.pseudonym(f"reviewer:{person.name}"),
        "copy_id": copy_id,
        "marked": copy.marked,
    }
    done = desk.have_done(OrderKind.SHOW, body)
    name = ids.record_id_text(copy_id)
    return Copy(copy.data, sniff(copy.data), name, copy.marked, copy.note, int(done["log_index"]))


def decide_review(desk: Desk, person: Person, review_id: str, decision: ReviewDecision, reason: str) -> HeldOutput:
    """Release or reject a held output; returns how it stands once that was carried out.

    Raises:
        NotFound: as ``review``; or it is to be released and is not kept any more.
        InvalidRequest: no reviewer or no reason.
        Conflict: it was decided before.
    """
    item = review(desk, person, review_id)
    if decision is ReviewDecision.RELEASED and item.decision is None and desk.registry.get_blob(item.draft) is None:
        raise NotFound("the output is not kept any more", field="id", fix="reject it")
    return desk.carry_out(desk.registry.reviews.decide(review_id, decision, person.name, reason))


def _draft(desk: Desk, item: HeldOutput) -> Judged | None:
    """The held draft; None where it is not kept any more."""
    try:
        sealed = desk.registry.get_blob(item.draft)
    except RegistryError:
        if item.done:  # its subject was erased
            return None
        raise
    return None if sealed is None else unpack(sealed)


def _coarse(medium: Media) -> NDArray[np.uint8] | None:
    match medium:
        case Text():
            return None
        case Image():
            return _means(medium.pixels)
        case Video():
            return _means(medium.frames[len(medium.frames) // 2])
        case Audio():
            return _loudness(medium)


def _means(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``pixels`` (H, W, 3) as at most PREVIEW_PIXELS a side, each the mean of its block."""
    height, width = pixels.shape[:2]
    block = max(1, -(-max(height, width) // PREVIEW_PIXELS))
    rows, columns = -(-height // block), -(-width // block)
    padded = np.pad(pixels, ((0, rows * block - height), (0, columns * block - width), (0, 0)), mode="edge")
    blocks = padded.reshape(rows, block, columns, block, 3).mean(axis=(1, 3), dtype=np.float64)
    return np.asarray(np.rint(blocks), np.uint8)


def _loudness(sound: Audio) -> NDArray[np.uint8]:
    """Bars of the loudest sample in each PREVIEW_PIXELS-th of the sound, dark on light."""
    loud = np.abs(sound.samples).max(axis=0) if sound.samples.size else np.zeros(1, np.float32)
    bars = np.array([part.max() if part.size else 0.0 for part in np.array_split(loud, PREVIEW_PIXELS)])
    half = PREVIEW_PIXELS // 2
    distance = np.abs(np.arange(PREVIEW_PIXELS) - half + 0.5)[:, None]
    dark = distance <= np.maximum(bars[None, :] * half, 0.5)
    return np.repeat(np.where(dark, 70, 225).astype(np.uint8)[:, :, None], 3, axis=2)
