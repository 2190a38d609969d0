"""The tasks of ``benchmarks.symphony``: each asks the model once and scores the answer exactly, 0 to 1 each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from benchmarks.symphony.bench import Bench, Rng, Scores, Task, film
from benchmarks.symphony.files import through_a_file
from gensafe.core.types import Audio, Image, Media, Modality, Video
from gensafe_backends.symphony.understand import normalise
from gensafe_backends.symphony.world import captions, clip, edits, remarks, render, sample, scene, sound, stories, tales
from gensafe_backends.symphony.world.reading import in_sync, read_film, read_picture, read_sound


def _scene(rng: Rng, held_out: bool) -> scene.Scene:
    while True:
        drawn = sample.sample_scene(rng)
        if not isinstance(drawn, scene.Board):
            if not held_out:
                return drawn
        elif sample.board_held_out(drawn) is held_out:
            return drawn


def _board(rng: Rng) -> scene.Board:
    while True:
        drawn = sample.sample_board(rng)
        if not sample.board_held_out(drawn):
            return drawn


def _compare(seen: scene.Scene | None, meant: scene.Scene) -> Scores:
    """Exact, and for boards the share of things in place and right, and the count."""
    scores = {"exact": float(seen == meant)}
    if isinstance(meant, scene.Board):
        found = seen.things if isinstance(seen, scene.Board) else ()
        scores["objects"] = sum(t in found for t in meant.things) / len(meant.things)
        scores["count"] = float(len(found) == len(meant.things))
    return scores


def text_to_image(held_out: bool) -> Task:
    """A prompt for a scene -> a picture that shows it."""

    def task(bench: Bench, rng: Rng, seed: int) -> Scores:
        drawn = _scene(rng, held_out)
        media = bench.ask(captions.scene_prompt(drawn, rng), Modality.IMAGE, seed)
        assert isinstance(media, Image)
        return _compare(read_picture(media.pixels), drawn)

    return task


def image_to_text(held_out: bool, noise: float = 0.0) -> Task:
    """A picture -> its caption; ``noise`` is the deviation of Gaussian noise on the pixels, in grey levels."""

    def task(bench: Bench, rng: Rng, seed: int) -> Scores:
        drawn = _scene(rng, held_out)
        pixels = render.render(drawn).astype(np.float64)
        pixels = np.clip(np.rint(pixels + noise * rng.standard_normal(pixels.shape)), 0, 255)
        told = bench.tell(captions.pick(rng, captions.IMAGE_QUESTIONS), seed, Image(pixels.astype(np.uint8)))
        return {"exact": float(told == captions.describe_scene(drawn))}

    return task


def image_edit(bench: Bench, rng: Rng, seed: int) -> Scores:
    """A picture and a change -> the picture with that change and no other."""
    before = _board(rng)
    words, after = edits.sample_edit(before, rng)
    media = bench.ask(words, Modality.IMAGE, seed, Image(render.render(before)))
    assert isinstance(media, Image)
    seen = read_picture(media.pixels)
    found = set(seen.things) if isinstance(seen, scene.Board) else set()
    changed, kept = set(after.things) - set(before.things), set(after.things) & set(before.things)
    gone = set(before.things) - set(after.things)
    return {
        "exact": float(found == set(after.things)),
        "target changed": float(changed <= found and not gone & found),
        "rest kept": float(kept <= found),
    }


def two_edits(bench: Bench, rng: Rng, seed: int) -> Scores:
    """A change, and another one to what the first gave: both must have been made and nothing else."""
    before = _board(rng)
    words, between = edits.sample_edit(before, rng)
    while not between.things:
        words, between = edits.sample_edit(before, rng)
    more, after = edits.sample_edit(between, rng)
    first = bench.ask(words, Modality.IMAGE, seed, Image(render.render(before)))
    second = bench.ask(more, Modality.IMAGE, seed + 1, first)
    assert isinstance(second, Image)
    seen = read_picture(second.pixels)
    return {"exact": float(isinstance(seen, scene.Board) and set(seen.things) == set(after.things))}


def text_to_audio(bench: Bench, rng: Rng, seed: int) -> Scores:
    """A prompt for a sound -> samples that hold it."""
    drawn = sound.sample_sound(rng)
    media = bench.ask(captions.sound_prompt(drawn, rng), Modality.AUDIO, seed)
    assert isinstance(media, Audio)
    exact = float(read_sound(media) == drawn)
    return {"exact": exact, f"{drawn.kind} exact": exact}


def audio_to_text(bench: Bench, rng: Rng, seed: int) -> Scores:
    """A sound -> its transcript."""
    drawn = sound.sample_sound(rng)
    told = bench.tell(captions.pick(rng, captions.AUDIO_QUESTIONS), seed, Audio(sound.render_sound(drawn)[None], 16000))
    exact = float(told == captions.describe_sound(drawn))
    return {"exact": exact, f"{drawn.kind} exact": exact}


def text_to_video(bench: Bench, rng: Rng, seed: int) -> Scores:
    """A prompt for a film -> frames that show it, and a sound track that knocks when the shape bounces."""
    drawn = clip.sample_clip(rng)
    media = bench.ask(captions.clip_prompt(drawn, rng), Modality.VIDEO, seed)
    assert isinstance(media, Video)
    seen = read_film(media)
    scores = {
        "motion": float(seen is not None and seen.motion == drawn.motion),
        "identity": float(seen is not None and (seen.colour, seen.shape) == (drawn.colour, drawn.shape)),
        "lane": float(seen is not None and seen.lane == drawn.lane),
    }
    if seen is not None and clip.bounces(seen):
        scores["sound in step with bounces"] = float(in_sync(media, seen))
    return scores


def video_to_text(bench: Bench, rng: Rng, seed: int) -> Scores:
    """A film -> its caption."""
    drawn = clip.sample_clip(rng)
    told = bench.tell(captions.pick(rng, captions.VIDEO_QUESTIONS), seed, film(drawn))
    return {"exact": float(told == captions.describe_clip(drawn))}


def text_to_text(bench: Bench, rng: Rng, seed: int) -> Scores:
    """A question or a sum -> one of its right answers."""
    asked, answer = stories.question_exchange(rng)
    told = bench.tell(asked, seed)
    right = {a for ways, answers in stories.QUESTIONS if asked in ways for a in answers} or {answer}
    name = "sum exact" if "plus" in asked else "question exact"
    return {"exact": float(told in right), name: float(told in right)}


def story(bench: Bench, rng: Rng, seed: int) -> Scores:
    """A story: only words of the world's stories, and about whom it was asked for."""
    asked, _ = stories.story_exchange(rng)
    told = bench.tell(asked, seed)
    about = set(asked.split()) - {"about", "and", "a", "an"} - {w for p in stories.STORY_PROMPTS for w in p.split()}
    words = normalise(told).split()
    return {
        "known words": sum(w in _story_words() for w in words) / max(1, len(words)),
        "names what was asked": float(about <= set(words)),
        "ends by itself": float(told.rstrip().endswith((".", '"', "!"))),
    }


_WORDS: set[str] = set()


def _story_words() -> set[str]:
    if not _WORDS:
        rng = np.random.default_rng(1)
        _WORDS.update(w for _ in range(200) for w in normalise(stories.story(rng)).split())
    return _WORDS


def own_sound(bench: Bench, rng: Rng, seed: int) -> Scores:
    """A sound it made, marked, written as WAV and read: its transcript, where the sound is right."""
    drawn = sound.sample_sound(rng)
    media = bench.ask(captions.sound_prompt(drawn, rng), Modality.AUDIO, seed)
    assert isinstance(media, Audio)
    if read_sound(media) != drawn:
        return {}
    told = bench.tell("", seed, through_a_file(media, Modality.AUDIO, rng))
    exact = float(told == captions.describe_sound(drawn))
    return {"exact": exact, f"{drawn.kind} exact": exact}


def own_film(bench: Bench, rng: Rng, seed: int) -> Scores:
    """A film it made, marked, written as MP4 and read: the caption of what the checker sees in it."""
    media = bench.ask(captions.clip_prompt(clip.sample_clip(rng), rng), Modality.VIDEO, seed)
    assert isinstance(media, Video)
    seen = read_film(media)
    if seen is None or not in_sync(media, seen):
        return {}
    return {
        "exact": float(bench.tell("", seed, through_a_file(media, Modality.VIDEO, rng)) == captions.describe_clip(seen))
    }


def own_picture(bench: Bench, rng: Rng, seed: int) -> Scores:
    """A picture it made, marked, written as PNG and read: the caption of what the checker sees in it."""
    media = bench.ask(captions.scene_prompt(_scene(rng, False), rng), Modality.IMAGE, seed)
    assert isinstance(media, Image)
    seen = read_picture(media.pixels)
    if seen is None:
        return {}
    told = bench.tell("", seed, through_a_file(media, Modality.IMAGE, rng))
    return {"exact": float(told == captions.describe_scene(seen))}


def remark(bench: Bench, rng: Rng, seed: int) -> Scores:
    """A film and a spoken remark -> the new script, the new frame and the new film: three answers to one input."""
    before = clip.sample_clip(rng)
    said, after = remarks.sample_remark(before, rng)
    while sample.board_held_out(remarks.frame(after)):
        said, after = remarks.sample_remark(before, rng)
    inputs = (film(before), Audio(sound.render_sound(said)[None], clip.RATE))
    script = bench.tell(captions.pick(rng, remarks.SCRIPT_REQUESTS), seed, *inputs)
    frame = bench.ask(captions.pick(rng, remarks.FRAME_REQUESTS), Modality.IMAGE, seed, *inputs)
    made = bench.ask(captions.pick(rng, remarks.FILM_REQUESTS), Modality.VIDEO, seed, *inputs)
    assert isinstance(frame, Image)
    assert isinstance(made, Video)
    seen = read_film(made)
    scores = {
        "script exact": float(script == captions.describe_clip(after)),
        "frame exact": float(read_picture(frame.pixels) == remarks.frame(after)),
        "film: identity": float(seen is not None and (seen.colour, seen.shape) == (after.colour, after.shape)),
        "film: way": float(seen is not None and (seen.motion, seen.lane) == (after.motion, after.lane)),
    }
    return scores | {"all three": float(min(scores.values()))}


def tale_to_media(bench: Bench, rng: Rng, seed: int) -> Scores:
    """A tale in words -> each medium it speaks of."""
    tale = _tale(rng, in_order=False)
    scores: Scores = {}
    for event in tale.events:
        prompt = f"{tales.tell(tale)} {tales.REQUESTS[type(event)]}"
        if isinstance(event, scene.Board):
            picture = bench.ask(prompt, Modality.IMAGE, seed)
            assert isinstance(picture, Image)
            scores["picture exact"] = float(read_picture(picture.pixels) == event)
        elif isinstance(event, sound.Sound):
            heard = bench.ask(prompt, Modality.AUDIO, seed)
            assert isinstance(heard, Audio)
            scores["sound exact"] = float(read_sound(heard) == event)
        else:
            made = bench.ask(prompt, Modality.VIDEO, seed)
            assert isinstance(made, Video)
            seen = read_film(made)
            right = captions.describe_clip(event)
            scores["film exact"] = float(seen is not None and captions.describe_clip(seen) == right)
    return scores


def media_to_tale(bench: Bench, rng: Rng, seed: int) -> Scores:
    """Two or three media -> the tale they tell."""
    tale = _tale(rng, in_order=True)
    made: dict[type[tales.Event], Callable[[Any], Media]] = {
        scene.Board: lambda e: Image(render.render(e)),
        sound.Sound: lambda e: Audio(sound.render_sound(e)[None], clip.RATE),
        clip.Clip: film,
    }
    told = bench.tell(tales.request(tale.name), seed, *(made[type(e)](e) for e in tale.events))
    right = sum(a == b for a, b in zip(told.split(". "), tales.tell(tale).split(". "), strict=False))
    return {"exact": float(told == tales.tell(tale)), "sentences right": right / len(tale.events)}


def _tale(rng: Rng, *, in_order: bool) -> tales.Tale:
    while True:
        tale = tales.sample_tale(rng, in_order=in_order)
        if not any(isinstance(e, scene.Board) and sample.board_held_out(e) for e in tale.events):
            return tale


TASKS: Final[dict[str, Task]] = {
    "text->image": text_to_image(False),
    "text->image, held-out": text_to_image(True),
    "image->text": image_to_text(False),
    "image->text, held-out": image_to_text(True),
    "image->text, noise 4": image_to_text(False, 4.0),
    "image+text->image (edit)": image_edit,
    "text->audio": text_to_audio,
    "audio->text": audio_to_text,
    "text->video": text_to_video,
    "video->text": video_to_text,
    "text->text": text_to_text,
    "story": story,
    "image+text->image, twice": two_edits,  # tasks are drawn by their number: new ones come last
    "video+audio->text, image, video (remark)": remark,
    "tale->image, audio, video": tale_to_media,
    "image, audio, video->tale": media_to_tale,
    "own picture->text": own_picture,
    "own sound->text": own_sound,
    "own film->text": own_film,
}
