"""What a stage of training draws, and when: phases, each leaning to what lagged before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Phase:
    """From one step on.

    Attributes:
        start: The first step.
        tasks: How often each task is drawn.
        long: The same for the batches whose rows have room for a story.
        tones: A sound to be made is drawn again until it is a melody or a dialled number this often.
    """

    start: int
    tasks: Mapping[str, float]
    long: Mapping[str, float] = field(default_factory=lambda: {"story": 0.5, "memory": 0.5})
    tones: float = 0.0


FIRST = Phase(
    0,
    {
        "text->image": 0.14,
        "image->text": 0.25,
        "text->audio": 0.14,
        "audio->text": 0.09,
        "text->video": 0.09,
        "video->text": 0.02,
        "text->text": 0.05,
        "image+text->image": 0.14,
        "image+text->text": 0.06,
        "audio+text->text": 0.02,
        "video+text->text": 0.02,
        "image+audio->text": 0.03,
        "image->svg": 0.02,
        "memory": 0.04,
    },
)
# Transcripts are learned; melodies, dialled numbers, edits and pictures lag.
SECOND = Phase(
    2060,
    {
        "text->image": 0.18,
        "image->text": 0.20,
        "text->audio": 0.18,
        "audio->text": 0.04,
        "text->video": 0.11,
        "video->text": 0.03,
        "text->text": 0.05,
        "image+text->image": 0.18,
        "image+text->text": 0.06,
        "audio+text->text": 0.03,
        "video+text->text": 0.03,
        "image+audio->text": 0.03,
        "image->svg": 0.04,
        "memory": 0.06,
    },
    tones=0.7,
)
# Melodies and numbers are learned; edits, charts and films lag; what was told earlier in a talk is not learned at all
# in this time and is given up.
THIRD = Phase(
    3400,
    {
        "text->image": 0.18,
        "image->text": 0.18,
        "text->audio": 0.11,
        "audio->text": 0.03,
        "text->video": 0.13,
        "video->text": 0.02,
        "text->text": 0.06,
        "image+text->image": 0.26,
        "image+text->text": 0.11,
        "audio+text->text": 0.02,
        "video+text->text": 0.02,
        "image+audio->text": 0.03,
        "image->svg": 0.03,
    },
    long={"story": 0.6, "image+text->image": 0.4},
    tones=0.4,
)
# Edits and charts, whose loss was still falling when the second stage ended.
FOURTH = Phase(
    0,
    {
        "text->image": 0.14,
        "image->text": 0.16,
        "text->audio": 0.07,
        "audio->text": 0.04,
        "text->video": 0.09,
        "video->text": 0.02,
        "text->text": 0.04,
        "image+text->image": 0.32,
        "image+text->text": 0.16,
        "audio+text->text": 0.03,
        "video+text->text": 0.03,
        "image+audio->text": 0.03,
        "image->svg": 0.03,
    },
    long={"story": 0.6, "image+text->image": 0.4},
    tones=0.4,
)
STAGES: dict[str, tuple[Phase, ...]] = {"words": (FIRST, SECOND, THIRD), "changes": (FOURTH,)}


def phase_at(step: int, phases: tuple[Phase, ...]) -> Phase:
    """The phase a step belongs to."""
    return next(p for p in reversed(phases) if p.start <= step)
