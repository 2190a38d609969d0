"""Make docs/gallery from the shipped checkpoint: what it draws, says, films and writes, chosen by nothing but the seed.

    python -m benchmarks.symphony.gallery [--bundle DIR] [--out docs/gallery]

Every prompt is run once, with seed = its place in the list; nothing is left out or tried again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.places import DOCS
from benchmarks.symphony.prompts import PROMPTS, generate
from gensafe.core.types import Audio, GenerationJob, Image, Media, Modality, Text, Video
from gensafe.media.codecs import encode
from gensafe_backends.symphony import plugin
from gensafe_backends.symphony.tokenizers.stft import log_magnitude, stft

QUESTIONS: Final = {
    Modality.IMAGE: "what is in this picture",
    Modality.AUDIO: "what do you hear",
    Modality.VIDEO: "what happens in this video",
}
# What is drawn, said or filmed first, in order, and what is then asked of all of it; a changed picture takes its place.
TALKS: Final[tuple[tuple[tuple[tuple[Modality, str], ...], tuple[tuple[Modality, str], ...]], ...]] = (
    (
        ((Modality.IMAGE, "a red circle at the top left and a blue square on the right"),),
        ((Modality.IMAGE, "make the circle green"), (Modality.IMAGE, "turn the square into a star"),
         (Modality.IMAGE, "remove the circle"), (Modality.TEXT, "what is in this picture")),
    ),
    (
        ((Modality.IMAGE, "a bar chart with red 3 and blue 5 and green 2"),),
        ((Modality.TEXT, "which bar is the highest"), (Modality.TEXT, "how high is the red bar"),
         (Modality.TEXT, "how many bars are there")),
    ),
    (
        ((Modality.IMAGE, "three yellow stars"), (Modality.AUDIO, "say four")),
        ((Modality.TEXT, "does the spoken count match the picture"),),
    ),
    (
        ((Modality.IMAGE, "a purple triangle in the middle"),),
        ((Modality.TEXT, "svg"), (Modality.TEXT, "is there a star"), (Modality.TEXT, "what colour is the triangle")),
    ),
    (
        ((Modality.VIDEO, "a red ball bouncing up and down"),),
        ((Modality.TEXT, "which way does it move"), (Modality.TEXT, "how many knocks do you hear")),
    ),
    (
        ((Modality.VIDEO, "a red circle moving left along the top"), (Modality.AUDIO, "say green star")),
        ((Modality.TEXT, "script"), (Modality.IMAGE, "frame"), (Modality.VIDEO, "film it again")),
    ),
    (
        ((Modality.VIDEO, "a blue square bouncing up and down"), (Modality.AUDIO, "say right")),
        ((Modality.TEXT, "script"), (Modality.IMAGE, "frame"), (Modality.VIDEO, "film it again")),
    ),
    (
        ((Modality.IMAGE, "a purple star on the left"), (Modality.AUDIO, "say hello"),
         (Modality.VIDEO, "an orange triangle moving up")),
        ((Modality.TEXT, "a tale of mira"),),
    ),
)  # fmt: skip
NAMES: Final = {Modality.IMAGE: "Pictures", Modality.AUDIO: "Sounds", Modality.VIDEO: "Films", Modality.TEXT: "Texts"}


def spectrogram(audio: Audio) -> NDArray[np.uint8]:
    """Log magnitudes as a picture: time to the right, 0 to 8 kHz upwards, 8 ms by 31 Hz per cell, twice enlarged."""
    levels = log_magnitude(np.abs(stft(audio.samples.mean(axis=0).astype(np.float64)))).T[::-1]
    level = np.clip((levels + 1.0) / 2.0, 0.0, 1.0)[:, :, None]
    dark, mid, light = (np.array(c, dtype=np.float64) for c in ((18, 16, 40), (190, 60, 90), (255, 240, 180)))
    colour = np.where(level < 0.5, dark + (mid - dark) * level * 2, mid + (light - mid) * (level * 2 - 1))
    return np.repeat(np.repeat(colour.astype(np.uint8), 2, axis=0), 2, axis=1)


def strip(video: Video) -> NDArray[np.uint8]:
    """Every other frame side by side with a thin gap."""
    frames = video.frames[::2]
    gap = np.full((frames.shape[1], 4, 3), 255, np.uint8)
    parts = [x for frame in frames for x in (frame, gap)][:-1]
    return np.concatenate(parts, axis=1)


def pictures(media: Media) -> list[tuple[str, NDArray[np.uint8]]]:
    """What to show of a medium: (suffix, pixels)."""
    if isinstance(media, Image):
        return [("", media.pixels)]
    if isinstance(media, Audio):
        return [("", spectrogram(media))]
    if isinstance(media, Video):
        shown = [("", strip(media))]
        return shown if media.audio is None else [*shown, ("-sound", spectrogram(media.audio))]
    return []


def talk(backend: plugin.SymphonyBackend, number: int, out: Path) -> list[str]:
    """One of ``TALKS``: its pictures are written, its lines for the page returned."""
    first, then = TALKS[number]
    page, media, shown = [], list[Media](), 0

    def show(made: Media, prompt: str) -> None:
        nonlocal shown
        for suffix, pixels in pictures(made):
            file = f"talk-{number}-{shown}{suffix}.png"
            (out / file).write_bytes(encode(Image(pixels), "image/png"))
            page.extend([f"![{prompt}]({file})", ""])
        shown += 1

    for seed, (modality, prompt) in enumerate(first):
        draft, _ = generate(backend, GenerationJob(prompt, modality, (), seed, 0))
        media.append(draft.media)
        page += [f"**{prompt}**", ""]
        show(draft.media, prompt)
    for seed, (modality, prompt) in enumerate(then):
        draft, _ = generate(backend, GenerationJob(prompt, modality, tuple(media), seed, 0))
        page += [f"**{prompt}**", ""]
        if isinstance(draft.media, Text):
            page += [f"> `{draft.media.text}`", ""]
        else:
            media = [draft.media] if len(media) == 1 else media
            show(draft.media, prompt)
    return page


def main() -> None:
    """Run every prompt, write pictures and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="")
    parser.add_argument("--out", type=Path, default=DOCS / "gallery")
    args = parser.parse_args()
    backend = plugin.create({"weights": args.bundle} if args.bundle else {})
    args.out.mkdir(parents=True, exist_ok=True)
    for old in (p for m in (*NAMES, "talk") for p in args.out.glob(f"{m}-*.png")):
        old.unlink()
    name, digest = next(iter(backend.models().items()))
    page = [
        "# Gallery",
        "",
        f"Made by `python -m benchmarks.symphony.gallery` with `{name}` (`{digest}`),",
        f"{backend.engine.name} engine.",
        "Every prompt was run once, with its place in the list as the seed; nothing was left out or tried again.",
        "Sounds are shown as spectrograms (time to the right, 0 to 8 kHz upwards), films as every other frame.",
        '"Read back" is the same model\'s own description of what it made, from the pixels or samples.',
        "What a person sees in them is written in [NOTES.md](NOTES.md); rates over many seeds are measured by",
        "`python -m benchmarks.symphony` ([results](../../benchmarks/results/symphony/symphony.json)).",
        "",
    ]
    for modality, prompts in PROMPTS.items():
        page += [f"## {NAMES[modality]}", ""]
        for seed, prompt in enumerate(prompts):
            draft, _ = generate(backend, GenerationJob(prompt, modality, (), seed, 0))
            page += [f"**{prompt}**", ""]
            if isinstance(draft.media, Text):
                page += [f"> {draft.media.text}", ""]
                continue
            for suffix, pixels in pictures(draft.media):
                file = f"{modality}-{seed}{suffix}.png"
                (args.out / file).write_bytes(encode(Image(pixels), "image/png"))
                page += [f"![{prompt}]({file})", ""]
            told, _ = generate(backend, GenerationJob(QUESTIONS[modality], Modality.TEXT, (draft.media,), seed, 0))
            assert isinstance(told.media, Text)
            page += [f"Read back: {told.media.text}", ""]
    page += ["## Going on from what was made", "", "Each answer reads the pixels and samples above it, no labels.", ""]
    for number in range(len(TALKS)):
        page += talk(backend, number, args.out)
    (args.out / "README.md").write_text("\n".join(page), encoding="utf-8")
    print(f"{args.out}: {sum(map(len, PROMPTS.values()))} prompts")


if __name__ == "__main__":
    main()
