"""The manifest definition: facts in, the JSON that the C2PA library takes out. Pure.

Shapes: C2PA 2.4 sections 18.15 (actions), 18.10 (soft binding), 18.28 (AI disclosure) and the conformance programme's
rules (``specVersion``, ``allActionsIncluded``, a digital source type on the first action). ``created: True`` on each of
our assertions makes the signer attest them; without it they are only "gathered".
"""

from __future__ import annotations

from typing import Any

from gensafe.core.clock import iso
from gensafe.core.types.sources import Relationship
from gensafe.provenance.types import (
    CREATED,
    EDITED,
    GENERATION_LABEL,
    MODERATION_LABEL,
    OPENED,
    PLACED,
    SPEC_VERSION,
    WATERMARK_BOUND,
    ClaimFacts,
)


def manifest_definition(facts: ClaimFacts, media_type: str) -> dict[str, Any]:
    """Build the definition for one output of ``media_type``."""
    when = iso(facts.created_ms)
    origin = () if media_type == "text/plain" else ("prompt", "model")
    return {
        "claim_generator_info": [
            {"name": facts.system_name, "version": facts.system_version, "specVersion": SPEC_VERSION}
        ],
        "title": facts.title,
        "format": media_type,
        "ingredients": _ingredients(facts, origin),
        "assertions": [
            {"label": "c2pa.actions.v2", "created": True, "data": _actions(facts, when, origin)},
            *_soft_binding(facts),
            {"label": "c2pa.ai-disclosure", "created": True, "data": _ai_disclosure(facts)},
            {"label": GENERATION_LABEL, "created": True, "data": _generation(facts, when)},
            {
                "label": MODERATION_LABEL,
                "created": True,
                "data": {"verdictDigest": facts.verdict_digest, "policyDigest": facts.policy_digest},
            },
        ],
    }


def _ingredients(facts: ClaimFacts, origin: tuple[str, ...]) -> list[dict[str, Any]]:
    """The prompt and the model as inputs without content, then the inputs that are named by digest only.

    Text goes without the first two: each byte of its manifest costs four in the text, the AI disclosure names the
    model, and a public verifier for text refuses ingredients altogether.
    """
    prompt: dict[str, Any] = {
        "title": "prompt",
        "format": "text/plain",
        "relationship": "inputTo",
        "label": "prompt",
        "data_types": [{"type": "c2pa.types.generator.prompt"}],
    }
    model: dict[str, Any] = {
        "title": facts.model_name,
        "format": "application/octet-stream",
        "relationship": "inputTo",
        "label": "model",
        "description": f"version {facts.model_version}; weights {facts.weights_digest or 'not stated'}",
        "data_types": [{"type": "c2pa.types.model"}],
    }
    named = [
        {
            "title": item.title,
            "format": item.media_type,
            "relationship": item.relationship.value,
            "label": input_label(position),
            "description": item.digest,
        }
        for position, item in enumerate(facts.inputs)
        if item.data is None
    ]
    return [item for item in (prompt, model) if item["label"] in origin] + named


def input_label(position: int) -> str:
    """Label by which an action refers to the ``position``-th input."""
    return f"input{position}"


def _actions(facts: ClaimFacts, when: str, origin: tuple[str, ...]) -> dict[str, Any]:
    """An edit opens its parent and edits it; anything else is created, from components that are then placed.

    C2PA 2.4 section 18.15: the first action is ``created`` or ``opened``; ``opened`` names exactly one ``parentOf``
    ingredient and has no digital source type; ``placed`` names the ``componentOf`` ones.
    """
    by = {kind: _labels_of(facts, kind) for kind in Relationship}
    parent = by[Relationship.PARENT]
    actions: list[dict[str, Any]] = []
    if parent:
        actions.append({"action": OPENED, "when": when, "parameters": {"ingredientIds": parent}})
    actions.append(_made(EDITED if parent else CREATED, facts, when, [*origin, *by[Relationship.INPUT]]))
    if by[Relationship.COMPONENT]:
        actions.append(_made(PLACED, facts, when, by[Relationship.COMPONENT]))
    if facts.soft_binding_alg:
        actions.append({"action": WATERMARK_BOUND, "when": when})
    return {"allActionsIncluded": True, "actions": actions}


def _labels_of(facts: ClaimFacts, kind: Relationship) -> list[str]:
    return [input_label(i) for i, item in enumerate(facts.inputs) if item.relationship is kind]


def _made(action: str, facts: ClaimFacts, when: str, ingredients: list[str]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "action": action,
        "when": when,
        "digitalSourceType": facts.digital_source_type,
        "softwareAgent": {"name": facts.model_name, "version": facts.model_version},
    }
    return made | ({"parameters": {"ingredientIds": ingredients}} if ingredients else {})


def _soft_binding(facts: ClaimFacts) -> list[dict[str, Any]]:
    if not facts.soft_binding_alg:
        return []
    data = {
        "alg": facts.soft_binding_alg,
        "blocks": [{"scope": {}, "value": facts.soft_binding_value}],
        "pad": "",
    }
    return [{"label": "c2pa.soft-binding", "created": True, "data": data}]


def _ai_disclosure(facts: ClaimFacts) -> dict[str, Any]:
    disclosure: dict[str, Any] = {
        "modelType": "c2pa.types.model",
        "modelName": facts.model_name,
        "contentProfile": {"humanOversightLevel": facts.human_oversight},
    }
    if facts.weights_digest:
        disclosure["modelIdentifier"] = facts.weights_digest
    return disclosure


def _generation(facts: ClaimFacts, when: str) -> dict[str, Any]:
    """Our own assertion: ids, digests and keyed commitments; nothing that could name a person."""
    data: dict[str, Any] = {
        "recordId": facts.record_id,
        "created": when,
        "promptCommitment": facts.prompt_commitment,
        "weightsDigest": facts.weights_digest,
        "inputs": [item.digest for item in facts.inputs],
        "development": facts.development,
    }
    if not facts.soft_binding_alg:
        data["notWatermarked"] = facts.watermark_note or "no reason recorded"
    return data
