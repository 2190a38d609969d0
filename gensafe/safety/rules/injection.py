# ruff: noqa: E501 - the phrase patterns read better on one line each
"""Phrases and literals by which a text tries to take over the model that reads it.

Rules name shapes, not topics: the score says how specific the shape is. Several weak ones together are strong. Runs on
normalised text; the role literals on raw text because normalising may fold them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gensafe.safety.normalize import Normalized
from gensafe.safety.rules.hit import Hit

_EARLIER = r"(?:previous|prior|preceding|above|earlier|former|foregoing|initial|original|existing|current|your|my|these|those|the|any|all|other|said)"
_ORDERS = r"(?:instructions?|directions?|directives?|prompts?|guidelines?|rules?|orders?|commands?|programming|training|constraints?|restrictions?|safeguards?|safety (?:rules|guidelines|protocols|measures)|polic(?:y|ies)|filters?)"
_SKIP = r"(?: \w{1,15}){0,3}?"
# The scores (0..1) say how specific each shape is; set by hand, not fitted.
_PHRASES: Final[tuple[tuple[str, float, str], ...]] = (
    (
        "override",
        0.92,
        rf"\b(?:ignore|disregard|forget|override|bypass|drop|skip|discard|neglect){_SKIP} {_EARLIER}{_SKIP} {_ORDERS}\b",
    ),
    (
        "override",
        0.75,
        r"\b(?:ignore|disregard|forget) (?:all|everything|anything|what)(?: that| i| you| we){0,2}(?: was| were| have been| been| have)?(?: said| told| written| stated| learned| discussed)? (?:before|above|prior|previously|earlier|so far|until now)\b",
    ),
    (
        "override",
        0.9,
        rf"\b(?:do not|don't|no longer|need not|must not|stop) (?:\w{{1,15}} ){{0,2}}(?:follow|following|obey|obeying|adhere to|abide by|comply with|bound by) {_EARLIER}{_SKIP} {_ORDERS}\b",
    ),
    (
        "persona",
        0.92,
        r"\bdo anything now\b|\b(?:act|acting|behave|respond|answer|pretend to be|you are|you're|become|simulate|stay as|play) (?:\w{1,12} ){0,3}(?:dan|stan|dude|aim|mongo ?tom|jailbroken|jailbreak)\b(?! [a-z]{1,12}(?:'s|son)\b)",
    ),
    (
        "persona",
        0.85,
        r"\b(?:unrestricted|unfiltered|uncensored|amoral|unethical|jailbroken|evil|unmoderated) (?:\w{1,12} ){0,2}(?:ai|chatbot|assistant|language model|llm|gpt|version|mode|bot|persona)\b",
    ),
    (
        "persona",
        0.85,
        r"\b(?:without|free (?:from|of)|no|ignoring|lacking|not bound by|not limited by|have no|has no|bypass(?:es|ing)?) (?:\w{1,12} ){0,4}(?:(?:ethical|moral|content|safety|openai|legal|censorship)(?:,? (?:or|and|/) ?\w{1,12})? (?:guidelines|restrictions?|limitations?|constraints?|filters?|boundaries|rules|principles|polic(?:y|ies)|considerations))\b",
    ),
    (
        "mode",
        0.85,
        r"\b(?:developer|debug|god|admin|sudo|root|maintenance|jailbreak|dan|unrestricted) mode (?:is |now )?(?:on|enabled|activated|output|engaged|response)\b|\b(?:enable|enter|activate|switch to|engage) (?:developer|god|jailbreak|dan|unrestricted|sudo) mode\b",
    ),
    (
        "break-character",
        0.8,
        r"\bstay in character\b.{0,200}\b(?:never|always|no matter)\b|\bstay (?:a|in) dan\b|\b(?:never|don't|do not|cannot|can't|must not) (?:ever )?(?:refuse|reject|decline|say (?:that )?(?:you|it) can'?t)(?: \w{1,15}){0,4}? (?:request|question|answer|command|prompt|order|task|me)s?\b",
    ),
    (
        "leak",
        0.9,
        r"\b(?:reveal|show|print|repeat|output|display|tell me|give me|share|leak|dump|expose|recite|what (?:is|are|was|were)(?= (?:the|your|in your|written in)\b)|write out|echo)(?! (?:me |us )?(?:an?|some|good|examples?(?: of)?)\b)(?: \w{1,15}){0,3}? (?:system|hidden|secret|initial|original|confidential|internal|developer|your|starting) (?:\w{1,12} )?(?:system )?(?:prompt|instructions|message|directives|configuration|pre-?prompt)\b",
    ),
    (
        "leak",
        0.8,
        r"\b(?:repeat|print|output|copy|return|say|translate)(?: \w{1,12}){0,4}? (?:everything|all|words|text|sentences|lines|the above|content)(?: \w{1,12}){0,3}? (?:above|before this|preceding|prior to this)\b",
    ),
    (
        "leak",
        0.85,
        r"\bwhat (?:is|was|'s) (?:the|your) (?:secret )?(?:secret (?:key|word|code)|password|passphrase)\b|\b(?:reveal|tell me|give me|show|spell|encode|print|share)(?: \w{1,12}){0,4}? (?:secret (?:key|word|code|password)|your password|the password|the secret)\b",
    ),
    (
        "authority",
        0.75,
        r"\b(?:i am|this is|i'm) (?:\w{1,12} ){0,3}(?:developer|administrator|admin|engineer|creator|owner|openai|anthropic|system)\b.{0,80}\b(?:override|authori[sz]ed|debug|test|unlock|disable|grant)\b",
    ),
    (
        "new-role",
        0.75,
        r"\b(?:from now on|for the rest of (?:this|our) conversation|starting now|henceforth)\b.{0,60}\b(?:you (?:are|will|must|shall)|act|behave|respond|answer)\b",
    ),
    (
        "two-answers",
        0.88,
        r"\b(?:two|2|both) (?:\w{1,12} ){0,2}(?:responses?|answers?|replies|ways|outputs?)\b.{0,160}\b(?:dan|jailbreak|unfiltered|developer mode|no restrictions|normal)\b|\[(?:gpt|classic|chatgpt)\b.{0,200}\[(?:dan|jailbreak|dev)",
    ),
    (
        "new-task",
        0.7,
        r"\b(?:new|updated|real|actual|important|additional|secret) (?:system )?(?:instructions?|task|directive|orders?)(?: from (?:the )?\w{1,15})?:",
    ),
    (
        "refusal-list",
        0.72,
        r"\b(?:never|don't|do not|without) (?:ever )?(?:say|saying|use|using|mention|mentioning|include|including|add|adding|give|giving)(?: \w{1,12}){0,4}? (?:sorry|apolog\w{1,6}|disclaimers?|warnings?|as an ai|i can'?t|i cannot|moral|ethical)\b",
    ),
)
_COMPILED: Final = tuple((kind, score, re.compile(p)) for kind, score, p in _PHRASES)
_TRIGGERS: Final = re.compile(
    r"ignore|disregard|forget|overrid|bypass|drop|skip|discard|neglect|follow|obey|adhere|abide|comply|bound by|anything now|restrict"
    r"|filter|censor|moral|ethic|jailb|evil|mode|character|refuse|reject|decline|prompt|instruct|repeat|print|secret|password"
    r"|developer|admin|engineer|creator|owner|openai|system|now on|henceforth|starting now|rest of|task|directive|orders?:|sorry"
    r"|apolog|disclaimer|warning|as an ai|can'?t|cannot|\bdan\b|responses|answers|guideline|moderat|\bstan\b|\baim\b|\[(?:gpt|classic|chatgpt)"
)
_LITERALS: Final = re.compile(
    r"<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id|end_header_id|begin_of_text)\|>"
    r"|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>|<\|?/?(?:system|sys)(?:_prompt)?\|?>(?=\s|$)"
    r"|(?m:^(?:###|##|#) ?(?:System|Instruction|New instructions?|Human|Assistant) ?:)",
    re.IGNORECASE,
)


def find_injection(text: str, normalized: Normalized) -> Iterator[Hit]:
    """Yield takeover shapes (category ``jbk``), offsets in ``text``."""
    for m in _LITERALS.finditer(text):
        yield Hit("jbk", "role literal", m.start(), m.end(), 0.9)
    body = normalized.text
    if not _TRIGGERS.search(body):
        return
    found: list[tuple[str, float, int, int]] = []
    for kind, score, pattern in _COMPILED:
        for m in pattern.finditer(body):
            found.append((kind, score, m.start(), m.end()))
            if len(found) >= 64:
                break
    kinds = {kind for kind, *_ in found}
    for kind, score, start, end in found:
        span = normalized.span(start, end)
        # independent shapes together leave little doubt
        yield Hit("jbk", kind, span.start, span.end, 1.0 - (1.0 - score) * 0.4 ** (len(kinds) - 1))
