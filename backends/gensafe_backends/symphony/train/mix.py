"""What a stage of training draws, and when: phases, each leaning to what lagged before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Leaning:
    """What is drawn more often than the world's own samplers do, each a share of 0 to 1.

    Attributes:
        tones: A sound to be made is drawn again until it is a melody or a dialled number this often.
        heard: A medium to be read has passed decoder, mark and file this often (``train/heard.py``).
        crowds: A board holds four to six different shapes this often.
        charts: A question about a picture is one about a chart at least this often.
        hard: An edit is one of those that are learned last at least this often (``train/tasks.py``, ``hard``).
    """

    tones: float = 0.0
    heard: float = 0.0
    crowds: float = 0.0
    charts: float = 0.0
    hard: float = 0.0


@dataclass(frozen=True, slots=True)
class Phase:
    """From one step on.

    Attributes:
        start: The first step.
        tasks: How often each task is drawn.
        long: The same for the batches with long rows.
        long_every: How often there is such a batch.
        lean: What is drawn more often.
        shares: Gradient shares of text, image, audio, video; empty = those of the settings.
    """

    start: int
    tasks: Mapping[str, float]
    long: Mapping[str, float] = field(default_factory=lambda: {"story": 0.5, "memory": 0.5})
    long_every: int = 16
    lean: Leaning = Leaning()
    shares: tuple[float, ...] = ()


# Shares set by hand; later phases lean to what lagged before. Other shares were not measured.
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
    lean=Leaning(tones=0.7),
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
    lean=Leaning(tones=0.4),
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
    lean=Leaning(tones=0.4),
)
# Edits most of all; then charts, and what the world had not: films revised by a spoken remark, tales across media, two
# edits in one talk, media that were written to a file and read again.
FIFTH = Phase(
    3800,
    {
        "text->image": 0.12,
        "image->text": 0.16,
        "text->audio": 0.06,
        "audio->text": 0.05,
        "text->video": 0.07,
        "video->text": 0.03,
        "text->text": 0.03,
        "image+text->image": 0.34,
        "image+text->text": 0.15,
        "audio+text->text": 0.03,
        "video+text->text": 0.02,
        "image+audio->text": 0.03,
        "image->svg": 0.03,
        "tale->image": 0.03,
        "tale->audio": 0.03,
    },
    long={
        "story": 0.12,
        "image+text->image, twice": 0.2,
        "video+audio->text": 0.12,
        "video+audio->image": 0.12,
        "video+audio->video": 0.2,
        "tale->video": 0.06,
        "media->tale": 0.18,
    },
    long_every=3,
    lean=Leaning(tones=0.4, heard=0.4, crowds=0.2, charts=0.5),
    shares=(0.40, 0.30, 0.10, 0.20),
)
# The same, and talks to be remembered: what two layers must learn together to find a fact again had been learned apart
# (benchmarks/symphony/needle.py) and was added to the weights at this step.
SIXTH = replace(FIFTH, start=4500, tasks={**FIFTH.tasks, "memory": 0.03}, long={**FIFTH.long, "memory": 0.12})
# Remarks and tales to be played lag; of the edits, other shapes, targets named by their colour and small ones.
SEVENTH = Phase(
    5800,
    {
        "text->image": 0.12,
        "image->text": 0.15,
        "text->audio": 0.05,
        "audio->text": 0.04,
        "text->video": 0.07,
        "video->text": 0.02,
        "text->text": 0.03,
        "image+text->image": 0.34,
        "image+text->text": 0.17,
        "audio+text->text": 0.02,
        "video+text->text": 0.02,
        "image+audio->text": 0.02,
        "image->svg": 0.03,
        "tale->image": 0.03,
        "tale->audio": 0.05,
        "memory": 0.03,
    },
    long={
        "story": 0.1,
        "image+text->image, twice": 0.12,
        "video+audio->text": 0.06,
        "video+audio->image": 0.22,
        "video+audio->video": 0.26,
        "tale->video": 0.05,
        "media->tale": 0.14,
        "memory": 0.06,
    },
    long_every=3,
    lean=Leaning(tones=0.4, heard=0.4, crowds=0.2, charts=0.6, hard=0.5),
    shares=(0.40, 0.30, 0.10, 0.20),
)
# What was learned before must be as good at the end as it was: captions and sounds.
EIGHTH = replace(
    SEVENTH,
    start=7400,
    tasks={**SEVENTH.tasks, "image->text": 0.24, "text->audio": 0.09},
    long_every=4,
    shares=(0.44, 0.26, 0.12, 0.18),
)
STAGES: dict[str, tuple[Phase, ...]] = {
    "words": (FIRST, SECOND, THIRD),
    "changes": (FOURTH, FIFTH, SIXTH, SEVENTH, EIGHTH),
}


def phase_at(step: int, phases: tuple[Phase, ...]) -> Phase:
    """The phase a step belongs to."""
    return next(p for p in reversed(phases) if p.start <= step)
