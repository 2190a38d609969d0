"""The prompts of the gallery, and one timed answer to a prompt."""

from __future__ import annotations

import time
from typing import Final

from gensafe.core.types import Draft, GenerationJob, Modality
from gensafe_backends.symphony import plugin

TALE: Final = (
    "Mira drew a red circle at the top. Then she heard the melody do re mi. At last she saw a blue star moving left."
)
PROMPTS: Final[dict[Modality, tuple[str, ...]]] = {
    Modality.IMAGE: (
        "a huge yellow star", "a red circle left of a blue square",
        "a green triangle at the top left and a purple star at the bottom right",
        "five orange circles", "42 in purple", "the word hi in green", "a bar chart with red 3 and blue 5 and green 1",
        "a small blue circle in the middle and a red triangle at the top", "a purple square above a yellow circle",
        "six blue triangles", "7 in red", "bars yellow 6 and purple 2", f"{TALE} Draw it.",
    ),
    Modality.AUDIO: (
        "say one two three", "say yes", "play do re mi fa sol la ti", "play sol mi do",
        "dial 5 5 5 0 1 9", "three high beeps", f"{TALE} Play it.",
    ),
    Modality.VIDEO: (
        "a blue square moving left", "a red ball bouncing up and down", "a green star moving down on the right",
        "a purple triangle bouncing from side to side", "an orange circle rising",
        "a yellow square moving right along the top", f"{TALE} Film it.",
    ),
    Modality.TEXT: (
        "tell me a story", "tell me a story about mira and a fox", "what can you do", "what is two plus three",
        "name the colours", "who won the election",
    ),
}  # fmt: skip


def generate(backend: plugin.SymphonyBackend, job: GenerationJob) -> tuple[Draft, float]:
    """The draft and the seconds it took."""
    start = time.perf_counter()
    events = list(backend.generate(job, None, lambda: False))
    draft = events[-1]
    assert isinstance(draft, Draft)
    return draft, time.perf_counter() - start
