"""Policy, classifiers, verdicts: what GenSafe lets through, and on what evidence."""

from gensafe.safety.parts import judge_parts
from gensafe.safety.policy import Policy, item_digest, load_policy, parse_policy
from gensafe.safety.receipt import verdict_dict, verdict_digest
from gensafe.safety.runner import SafetyRunner
from gensafe.safety.streaming import StreamGate
from gensafe.safety.text import assess_text, classify_text, redact

__all__ = [
    "Policy",
    "SafetyRunner",
    "StreamGate",
    "assess_text",
    "classify_text",
    "item_digest",
    "judge_parts",
    "load_policy",
    "parse_policy",
    "redact",
    "verdict_dict",
    "verdict_digest",
]
