"""``POST /v1/moderations``: this server's classifiers and policy, with what they find in that API's categories."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from gensafe.core.errors import InvalidRequest
from gensafe.core.hazards import CATEGORIES
from gensafe.core.types import Action, InputMedia, Modality, Stage, Text, Verdict
from gensafe.media import open_parts
from gensafe.safety import judge_parts
from gensafe.server.http.openai.fields import Fields
from gensafe.server.http.openai.front import Call
from gensafe.server.http.openai.messages import from_data_url

MAX_ITEMS: Final = 32  # as that API's

TABLE: Final[Mapping[str, tuple[str, ...]]] = {
    "harassment": ("tox",),
    "harassment/threatening": (),
    "hate": ("hte",),
    "hate/threatening": (),
    "illicit": ("ncr", "iwp"),
    "illicit/violent": ("vcr", "iwp"),
    "self-harm": ("ssh",),
    "self-harm/intent": (),
    "self-harm/instructions": (),
    "sexual": ("sxc", "src"),
    "sexual/minors": ("cse",),
    "violence": ("vcr",),
    "violence/graphic": (),
}
"""Their categories -> ours. () = ours are coarser, so theirs is never true; the wider one is."""


async def create_moderation(call: Call) -> Response:
    """Judge texts and images without generating."""
    fields = await call.json()
    call.params |= {"media": "input"}
    items = _items(fields)
    fields.text("model")  # a text, and of no consequence: the policy judges
    fields.end()
    tenant, limits = call.identity.tenant, call.front.limits
    limits.take("classifications", tenant, sum(map(len, items)))
    runner = call.front.chain.safety(tenant)

    def verdicts_of(parts: list[str | InputMedia]) -> list[Verdict]:
        return [
            runner.judge(Text(part), Stage.STANDALONE)
            if isinstance(part, str)
            else judge_parts(runner, open_parts(part.data, part.media_type), Stage.STANDALONE)
            for part in parts
        ]

    results = [_result(await limits.classify.run(tenant, partial(verdicts_of, parts))) for parts in items]
    policy = runner.policy
    return JSONResponse(
        {
            "id": f"modr-{call.request.scope['gensafe.request_id']}",
            "model": f"gensafe:{policy.digest}",
            "results": results,
        }
    )


def _items(fields: Fields) -> list[list[str | InputMedia]]:
    """One list of parts for each result."""
    value = fields.raw("input")
    if isinstance(value, str):
        return [[value]]
    if not isinstance(value, list) or not 0 < len(value) <= MAX_ITEMS:
        fields.wrong("input", f"must be a text or a list of 1 to {MAX_ITEMS} texts or parts")
    texts: list[list[str | InputMedia]] = [[one] for one in value if isinstance(one, str)]
    if len(texts) == len(value):
        return texts
    return [[_part(item, f"input[{number}]") for number, item in enumerate(value)]]


def _part(item: Any, where: str) -> str | InputMedia:  # noqa: ANN401 - JSON
    if not isinstance(item, dict):
        raise InvalidRequest("must be an object, or all must be texts", field=where)
    part = Fields(item, where)
    kind = part.choice("type", ("text", "image_url"))
    if kind == "text":
        found: str | InputMedia = part.text("text")
    else:
        table = part.table("image_url") if kind else None
        if table is None:
            part.wrong("image_url" if kind else "type", "is needed")
        found = from_data_url(table.needed("url"), table.path("url"))
        table.end()
    part.end()
    return found


def _result(verdicts: list[Verdict]) -> dict[str, Any]:
    scores: dict[str, float] = {}
    kinds: dict[str, set[str]] = {}
    acted: dict[str, Action] = {}
    for verdict in verdicts:
        for decision in verdict.decisions:
            category = decision.finding.category
            # coarse on purpose, as over gRPC: full precision is an oracle for attackers
            scores[category] = max(scores.get(category, 0.0), round(decision.finding.score, 3))
            if decision.action in (Action.BLOCK, Action.REVIEW):
                acted[category] = max(acted.get(category, decision.action), decision.action, key=_strictness)
                kinds.setdefault(category, set()).add("text" if verdict.modality is Modality.TEXT else "image")
    stopped = any(v.errors or v.action in (Action.BLOCK, Action.REVIEW) for v in verdicts)
    return {
        "flagged": stopped,
        "categories": {theirs: any(o in acted for o in ours) for theirs, ours in TABLE.items()},
        "category_scores": {
            theirs: max((scores.get(o, 0.0) for o in ours), default=0.0) for theirs, ours in TABLE.items()
        },
        "category_applied_input_types": {
            theirs: sorted(set().union(*(kinds.get(o, set()) for o in ours))) for theirs, ours in TABLE.items()
        },
        "gensafe": {
            "action": max((v.action for v in verdicts), key=_strictness).value,
            "categories": [
                {"id": c, "name": CATEGORIES.get(c, c), "score": s, "action": acted[c].value if c in acted else "allow"}
                for c, s in sorted(scores.items())
            ],
            "errors": [error for v in verdicts for error in v.errors],
        },
    }


def _strictness(action: Action) -> int:
    return list(Action).index(action)
