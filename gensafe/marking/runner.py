"""Mark a judged draft and prove that the mark survives in the bytes that will be signed.

Procedure (docs/architecture.md, "What flows": marked, then signed):

1. choose the payload: key epoch (4 bits) and record id (52 bits)
2. visible label, where asked for
3. embed under the medium's own key
4. encode to the requested container
5. write the metadata labels
6. decode those exact bytes and detect; the payload must come back with a valid MAC
7. if it does not: once more from 3 with more strength; then give up
8. fingerprint what a reader of the file will decode
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gensafe import media as codecs
from gensafe.core import ids
from gensafe.core.errors import CannotCarry, WatermarkNotDetected
from gensafe.core.ports import SamplingMark, SamplingWatermark, TextTokenizer, Watermarker
from gensafe.core.types import (
    Detection,
    Judged,
    Marked,
    MarkLevel,
    Media,
    Modality,
    Text,
    WatermarkReceipt,
)
from gensafe.media.content import content_digest
from gensafe.media.fingerprint import fingerprint
from gensafe.media.labels import apply_visible

RETRY_STRENGTH = 1.4  # once: enough to win back a lossy encoder's loss, at most 3 dB more mark energy

Labeller = Callable[[Judged, bytes, str], bytes]
"""Writes metadata labels into encoded bytes: (judged, data, media_type) -> data."""


@dataclass(frozen=True, slots=True)
class Marker:
    """Marks drafts of every modality."""

    watermarkers: Mapping[Modality, Watermarker]
    text_scheme: SamplingWatermark
    key_for: Callable[[Modality, int], bytes]  # (modality, epoch) -> 32 bytes
    epoch_now: Callable[[], int]  # of new marks; rotated while this runs. The first call of an epoch commits to its key
    label: Labeller

    def sampling_mark(self, epoch: int) -> SamplingMark:
        """A fresh sampling mark for one text, under the key of the epoch it was admitted in."""
        return self.text_scheme.sampler(self.key_for(Modality.TEXT, epoch))

    def mark(self, judged: Judged, tokenizer: TextTokenizer | None) -> Marked:
        """Turn a judged draft into marked bytes.

        Raises:
            WatermarkNotDetected: the mark was lost in encoding, twice.
            MediaError: the container cannot hold this draft.
        """
        media = judged.draft.media
        if isinstance(media, Text):
            return self._mark_text(judged, media, tokenizer)
        return self._mark_media(judged, media)

    def _mark_media(self, judged: Judged, media: Media) -> Marked:
        admission = judged.admission
        media_type = admission.request.media_type or codecs.DEFAULT_MEDIA_TYPE[media.modality]
        watermarker = self.watermarkers[media.modality]
        epoch = self.epoch_now()  # one for the whole medium
        key = self.key_for(media.modality, epoch)
        payload = ids.pack_payload(admission.record_id, epoch)  # 1.
        media, visible = _visible(judged, media)  # 2.
        refusal = ""
        for strength in (1.0, RETRY_STRENGTH):
            try:
                carrier = watermarker.embed(media, payload, key, strength)  # 3.
            except CannotCarry as error:
                refusal = error.message
                break
            data = self.label(judged, codecs.encode(carrier, media_type), media_type)  # 4. 5.
            seen = codecs.decode(data, media_type)
            detection = watermarker.detect(seen, key)  # 6.
            if detection.level is MarkLevel.RECORD and detection.payload == payload:
                receipt = _receipt(detection, epoch)
                return Marked(judged, data, media_type, receipt, fingerprint(seen), visible, content_digest(seen))  # 8.
        if not refusal:  # 7.
            raise WatermarkNotDetected(f"the {media.modality} mark did not survive encoding as {media_type}")
        data = self.label(judged, codecs.encode(media, media_type), media_type)
        receipt = WatermarkReceipt("", payload, ids.watermark_key_id(epoch), MarkLevel.NONE, 1.0, note=refusal)
        seen = codecs.decode(data, media_type)
        return Marked(judged, data, media_type, receipt, fingerprint(seen), visible, content_digest(seen))

    def _mark_text(self, judged: Judged, media: Text, tokenizer: TextTokenizer | None) -> Marked:
        """Text was marked, if at all, while it was sampled; here the mark is looked for again in the final text.

        A held text may be released after the key was rotated, so the key is that of its admission; media are marked
        at release, with the current key.
        """
        record, epoch = judged.draft.record, judged.admission.key_epoch
        labelled, visible = _visible(judged, media)
        if isinstance(labelled, Text) and visible:
            media = labelled
            judged = replace(judged, draft=replace(judged.draft, media=media))
        data = self.label(judged, codecs.encode(media, "text/plain"), "text/plain")
        if tokenizer is None or record.sampling_mark.startswith("not marked"):
            receipt = WatermarkReceipt(
                "", b"", ids.watermark_key_id(epoch), MarkLevel.NONE, 1.0, note=record.sampling_mark
            )
        else:
            detection = self.text_scheme.detect(tokenizer.encode(media.text), self.key_for(Modality.TEXT, epoch))
            receipt = _receipt(detection, epoch)
        return Marked(judged, data, "text/plain", receipt, fingerprint(media), visible)


def _visible(judged: Judged, media: Media) -> tuple[Media, Mapping[str, object]]:
    request = judged.admission.request
    if not request.visible_label:
        return media, {}
    labelled, evidence = apply_visible(media, request.label_profile)
    return labelled, evidence.as_entry()


def _receipt(detection: Detection, epoch: int) -> WatermarkReceipt:
    note = ""
    if detection.level is not MarkLevel.RECORD:
        note = {
            MarkLevel.PRESENT: "presence only: text carries no payload, its record is found by fingerprint",
            MarkLevel.UNDECIDABLE: "marked while sampling, but too short or too predictable for the mark to be decided",
            MarkLevel.NONE: "marked while sampling, but the detector does not reach its threshold on this text",
        }[detection.level]
    return WatermarkReceipt(
        scheme=detection.scheme,
        payload=detection.payload or b"",
        key_id=ids.watermark_key_id(epoch),
        level=detection.level,
        p_value=detection.p_value,
        note=note,
    )
