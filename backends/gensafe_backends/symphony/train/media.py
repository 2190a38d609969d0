"""Exact ids of the world's media from cached parts: drawing an example costs microseconds, no encoder."""

from __future__ import annotations

from collections.abc import Iterator

from gensafe.core.types import Audio, Image, Video
from gensafe_backends.symphony.config import SymphonyConfig
from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer
from gensafe_backends.symphony.world import clip, render, scene, sound
from gensafe_backends.symphony.world.speech import WORD_SAMPLES

ITEM_SAMPLES = {
    "words": WORD_SAMPLES,
    "melody": sound.NOTE_SAMPLES,
    "dial": sound.NOTE_SAMPLES,
    "beeps": sound.BEEP_SPACING,
}


class MediaIds:
    """Media -> ids with the real tokenizer, by parts.

    Parts of a picture never share a patch. An item of a sound fills whole tokens, and a token's features reach 256
    samples beyond it: words are silent there, tones are not, so a tone is cached with its neighbours.

    Args:
        config: Span geometry.
        tokenizer: The trained tokenizer.
    """

    def __init__(self, config: SymphonyConfig, tokenizer: UniversalTokenizer) -> None:
        self.config, self.tokenizer = config, tokenizer
        self._pictures: dict[object, dict[int, int]] = {}
        self._paper = tokenizer.encode(Image(render.render(scene.Board(()))))
        self._items: dict[tuple[object, ...], tuple[int, ...]] = {}
        self._silence = tuple(tokenizer.encode(Audio(0 * sound.render_sound(sound.Sound("words", ()))[None], 16000)))
        self._clips: dict[clip.Clip, tuple[int, ...]] = {}

    def of_scene(self, drawn: scene.Scene) -> tuple[int, ...]:
        """Ids of a picture."""
        ids = list(self._paper)
        for part in _parts(drawn):
            known = self._pictures.get(part)
            if known is None:
                alone = self.tokenizer.encode(Image(render.render(part)))
                known = {i: a for i, (a, p) in enumerate(zip(alone, self._paper, strict=True)) if a != p}
                self._pictures[part] = known
            for place, value in known.items():
                ids[place] = value
        return tuple(ids)

    def of_sound(self, drawn: sound.Sound) -> tuple[int, ...]:
        """Ids of a sound."""
        ids: list[int] = []
        reach = 0 if drawn.kind == "words" else 1
        for i in range(len(drawn.items)):
            first = max(0, i - reach)
            ids += self._item(drawn.kind, drawn.items[first : i + reach + 1], i - first)
        if drawn.items:
            ids += self._item(drawn.kind, drawn.items[-1:], 1)[:1]  # what rings on after the last item
        return (*ids[: self.config.audio_tokens], *self._silence[len(ids) :])

    def _item(self, kind: sound.Kind, near: tuple[str, ...], index: int) -> tuple[int, ...]:
        known = self._items.get((kind, near, index))
        if known is None:
            size = ITEM_SAMPLES[kind] // self.config.audio_hop
            whole = self.tokenizer.encode(Audio(sound.render_sound(sound.Sound(kind, near))[None], 16000))
            known = tuple(whole[index * size : (index + 1) * size])
            self._items[kind, near, index] = known
        return known

    def of_clip(self, drawn: clip.Clip) -> tuple[int, ...]:
        """Ids of a film with its sound."""
        known = self._clips.get(drawn)
        if known is None:
            track = Audio(clip.render_track(drawn)[None], 16000)
            known = tuple(self.tokenizer.encode(Video(clip.render_frames(drawn), float(clip.FPS), track)))
            self._clips[drawn] = known
        return known


def _parts(drawn: scene.Scene) -> Iterator[scene.Scene]:
    if isinstance(drawn, scene.Board):
        for thing in drawn.things:
            yield scene.Board((thing,))
    else:
        yield drawn
