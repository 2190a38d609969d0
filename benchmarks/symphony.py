"""What the shipped Symphony can do: every task through the plugin, on seeds no training step used, read exactly.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.symphony [--bundle DIR] [--count 100] [--engine auto]

Prompts go in as text and media as pixels and samples, as a caller would send them; answers are compared with the truth
exactly (a caption must be word for word the one right caption). "held-out" rows use boards that hold a (colour, shape,
place) triple kept out of training; "own" rows read what the model made, marked, written to a file and read again.
The tasks are small in-house ones; their names say nothing about public benchmarks.
Each rate comes with its 95 % Wilson interval.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.symphony_heard import through_a_file
from gensafe.core.types import Audio, Draft, GenerationJob, Image, Media, Modality, Text, Video
from gensafe_backends.symphony import plugin
from gensafe_backends.symphony.understand import normalise
from gensafe_backends.symphony.world import captions, clip, edits, remarks, render, sample, scene, sound, stories, tales
from gensafe_backends.symphony.world.reading import in_sync, read_film, read_picture, read_sound

RESULTS: Final = Path(__file__).parent / "results" / "symphony.json"
SEED: Final = 900_000_000  # training never uses seeds from here on
Scores = dict[str, float]


class Bench:
    """The backend, and a clock for what it makes."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self.backend = plugin.create(options)
        self.seconds: dict[str, list[float]] = {}

    def ask(self, prompt: str, modality: Modality, seed: int, *inputs: Media) -> Media:
        """One answer."""
        start = time.perf_counter()
        *_, draft = self.backend.generate(GenerationJob(prompt, modality, inputs, seed, 0), None, lambda: False)
        assert isinstance(draft, Draft)
        kind = modality.value if modality is not Modality.TEXT else ("text" if not inputs else "description")
        self.seconds.setdefault(kind, []).append(time.perf_counter() - start)
        return draft.media

    def tell(self, prompt: str, seed: int, *inputs: Media) -> str:
        """One answer in words."""
        media = self.ask(prompt, Modality.TEXT, seed, *inputs)
        assert isinstance(media, Text)
        return media.text


Rng = np.random.Generator
Task = Callable[[Bench, Rng, int], Scores]


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


def film(drawn: clip.Clip) -> Video:
    """A film with its sound as the model is handed it."""
    return Video(clip.render_frames(drawn), float(clip.FPS), Audio(clip.render_track(drawn)[None], clip.RATE))


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


def wilson(rate: float, n: int) -> tuple[float, float]:
    """95 % interval of a rate over ``n`` trials."""
    z = 1.96
    mid, half = rate + z * z / (2 * n), z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return round(max(0.0, (mid - half) / (1 + z * z / n)), 3), round(min(1.0, (mid + half) / (1 + z * z / n)), 3)


def run(bench: Bench, name: str, task: Task, count: int) -> dict[str, Any]:
    """All scores of one task: mean, trials and interval."""
    kept: dict[str, list[float]] = {}
    for i in range(count):
        rng = np.random.default_rng((SEED, list(TASKS).index(name), i))
        for key, value in task(bench, rng, SEED + i).items():
            kept.setdefault(key, []).append(value)
    return {
        key: {"rate": round(float(np.mean(v)), 3), "n": len(v), "wilson95": wilson(float(np.mean(v)), len(v))}
        for key, v in kept.items()
    }


def main() -> None:
    """Run every task, print the table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--only", nargs="*", help="only tasks whose name begins with one of these")
    parser.add_argument("--merge", nargs="*", type=Path, default=(), help="results for the same weights to take over")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    if args.count < 1:
        parser.error("--count must be at least 1")
    bench = Bench({"engine": args.engine} | ({"weights": args.bundle} if args.bundle else {}))
    model, digest = next(iter(bench.backend.models().items()))
    tasks, seconds = dict[str, Any](), dict[str, float]()
    for part in (json.loads(path.read_text(encoding="utf-8")) for path in args.merge):
        if (part["parameters"]["weights"], part["parameters"]["engine"]) != (digest, bench.backend.engine.name):
            parser.error("--merge: a result of other weights or another engine")
        tasks |= part["tasks"]
        seconds |= part["median_seconds_per_answer"]  # of the last part that has the kind
    for name, task in TASKS.items():
        if args.only is None or name.startswith(tuple(args.only)):
            tasks[name] = run(bench, name, task, min(args.count, 20) if name == "story" else args.count)
            print(
                f"{name}: " + ", ".join(f"{k} {v['rate']:.3f} (n={v['n']})" for k, v in tasks[name].items()), flush=True
            )
    tasks = {name: tasks[name] for name in TASKS if name in tasks}
    seconds |= {k: round(float(np.median(v)), 3) for k, v in bench.seconds.items()}
    print("median seconds per answer:", seconds)
    result = {
        "parameters": {
            "model": model,
            "weights": digest,
            "engine": bench.backend.engine.name,
            "count": args.count,
            "first_seed": SEED,
            "sampling": {str(m): [p.temperature, p.top_p] for m, p in plugin.DEFAULTS.items()},
        },
        "tasks": tasks,
        "median_seconds_per_answer": seconds,
    }
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
