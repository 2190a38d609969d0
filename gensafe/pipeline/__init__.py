"""The order of things. ``run`` reads top to bottom as numbered steps; only this package knows the order."""

from gensafe.pipeline.assemble import open_chain
from gensafe.pipeline.chain import Chain
from gensafe.pipeline.events import (
    Accepted,
    CallControl,
    Judgement,
    PipelineEvent,
    Released,
    ReleasedText,
    Stopped,
)
from gensafe.pipeline.run import run

__all__ = [
    "Accepted",
    "CallControl",
    "Chain",
    "Judgement",
    "PipelineEvent",
    "Released",
    "ReleasedText",
    "Stopped",
    "open_chain",
    "run",
]
