"""The judgement that every gateway's interface asks for: quota, pool, moderation, and the words of the answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from gensafe.core.hazards import CATEGORIES
from gensafe.core.languages import ENGLISH, Words
from gensafe.core.types import Stage
from gensafe.pipeline import Chain, Moderation, moderate
from gensafe.server.content import Part
from gensafe.server.limits import Limits


async def judge(
    chain: Chain, limits: Limits, parts: Sequence[Part], *, stage: Stage, tenant: str, gateway: str, request_id: str
) -> Moderation:
    """Judge under the tenant's quota, in the pool for classification; arguments as ``pipeline.moderate``.

    Raises:
        GensafeError: no judgement, so the content may not go on.
    """
    limits.take("classifications", tenant, max(1, len(parts)))
    work = partial(moderate, chain, parts, stage=stage, tenant=tenant, gateway=gateway, request_id=request_id)
    return await limits.classify.run(tenant, work)


def reason(found: Moderation, words: Words = ENGLISH) -> str:
    """Why content was stopped, in a sentence: categories in words, never the words that led to them."""
    if found.failed:
        return words("a safety check could not be made, or a file could not be examined; it is not let through")
    names = [words(CATEGORIES[c]) if c in CATEGORIES else c for c in found.categories] or ["policy"]
    return words("stopped by the content policy: {names}", names="; ".join(names))
