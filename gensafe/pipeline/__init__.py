"""The order of things. ``run`` reads top to bottom as numbered steps; only this package knows the order."""

from gensafe.pipeline.assemble import open_chain
from gensafe.pipeline.chain import Chain
from gensafe.pipeline.events import (
    Accepted,
    CallControl,
    Held,
    Judgement,
    PipelineEvent,
    Released,
    ReleasedText,
    Stopped,
)
from gensafe.pipeline.moderation import Moderation, moderate
from gensafe.pipeline.review import carry_out_decisions, outcome, standing
from gensafe.pipeline.run import run

__all__ = [
    "Accepted",
    "CallControl",
    "Chain",
    "Held",
    "Judgement",
    "Moderation",
    "PipelineEvent",
    "Released",
    "ReleasedText",
    "Stopped",
    "carry_out_decisions",
    "moderate",
    "open_chain",
    "outcome",
    "run",
    "standing",
]
