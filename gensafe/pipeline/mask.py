"""What the engine gets where policy redacts a prompt: the same words with what was found painted over."""

from __future__ import annotations

from dataclasses import replace

from gensafe.core.errors import SafetyBlocked
from gensafe.core.types import Action, GenerationJob, Stage, Text
from gensafe.safety import SafetyRunner
from gensafe.safety.text import redact


def mask_prompt(safety: SafetyRunner, job: GenerationJob) -> GenerationJob:
    """Mask prompt, earlier messages and negative prompt, each by its own findings, then judge the whole again.

    The commitment in the log stays that of the words as sent; the prompt's verdict there says that they were redacted.

    Raises:
        SafetyBlocked: something is left that policy wants removed (a find across two messages, a stop word), or a part
            by itself may not pass.
    """

    def masked(text: str) -> str:
        verdict = safety.judge(Text(text), Stage.PROMPT)
        if not verdict.releasable:
            raise SafetyBlocked("blocked at the prompt", verdict)
        return redact(text, verdict)

    wishes = job.parameters
    messages = tuple(replace(m, text=masked(m.text)) for m in job.messages)
    negative = masked(wishes.negative_prompt) if wishes.negative_prompt else ""
    found = replace(
        job, prompt=masked(job.prompt), messages=messages, parameters=replace(wishes, negative_prompt=negative)
    )
    rest = filter(None, [negative, *wishes.stop, *wishes.extra.values()])
    whole = "\n\n".join([*(m.text for m in messages), found.prompt, *rest])
    verdict = safety.judge(Text(whole), Stage.PROMPT)
    if not verdict.releasable or verdict.action is Action.REDACT:
        raise SafetyBlocked("masking did not remove what policy wants removed from the prompt", verdict)
    return found
