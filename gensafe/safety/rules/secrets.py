"""Credentials with a published shape. The random part must look random: "sk_live_xxxxxxxx" in a manual is no secret."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from gensafe.safety.rules.hit import Hit

_B = r"(?<![A-Za-z0-9_-])"
_E = r"(?![A-Za-z0-9_-])"
# (kind, literals of which one must occur, pattern with the random part as group 1, least bits per character of it)
_SHAPES: Final[tuple[tuple[str, tuple[str, ...], str, float], ...]] = (
    ("aws-access-key", ("AKIA", "ASIA", "ABIA", "ACCA"), _B + r"(?:AKIA|ASIA|ABIA|ACCA)([A-Z2-7]{16})" + _E, 2.8),
    ("github-token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), _B + r"gh[pousr]_([A-Za-z0-9]{36,255})" + _E, 3.2),
    ("github-token", ("github_pat_",), _B + r"github_pat_([A-Za-z0-9_]{60,100})" + _E, 3.2),
    ("gitlab-token", ("glpat-",), _B + r"glpat-([A-Za-z0-9_-]{20,64})" + _E, 3.0),
    ("slack-token", ("xox",), _B + r"xox[abeoprs]-([A-Za-z0-9-]{10,250})" + _E, 2.8),
    ("slack-webhook", ("hooks.slack.com",), r"hooks\.slack\.com/services/([A-Za-z0-9/]{40,60})", 3.0),
    ("stripe-key", ("k_live_", "k_test_"), _B + r"[rs]k_(?:live|test)_([A-Za-z0-9]{16,120})" + _E, 3.0),
    ("google-api-key", ("AIza",), _B + r"AIza([A-Za-z0-9_-]{35})" + _E, 3.2),
    ("google-oauth", ("GOCSPX-", "ya29."), _B + r"(?:GOCSPX-|ya29\.)([A-Za-z0-9_-]{20,300})", 3.2),
    ("anthropic-key", ("sk-ant-",), _B + r"sk-ant-([A-Za-z0-9_-]{30,200})" + _E, 3.2),
    ("openai-key", ("sk-",), _B + r"sk-(?:proj-|svcacct-|admin-)?([A-Za-z0-9_-]{32,200})" + _E, 3.6),
    ("huggingface-token", ("hf_",), _B + r"hf_([A-Za-z0-9]{30,60})" + _E, 3.2),
    ("npm-token", ("npm_",), _B + r"npm_([A-Za-z0-9]{36})" + _E, 3.2),
    ("pypi-token", ("pypi-AgEI",), _B + r"pypi-AgEI([A-Za-z0-9_-]{50,300})" + _E, 3.4),
    ("sendgrid-key", ("SG.",), _B + r"SG\.([A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64})" + _E, 3.4),
    ("twilio-key", ("SK", "AC"), _B + r"(?:SK|AC)([0-9a-f]{32})" + _E, 2.8),
    ("mailgun-key", ("key-",), _B + r"key-([0-9a-f]{32})" + _E, 2.8),
    ("digitalocean-token", ("do", "_v1_"), _B + r"do[opr]_v1_([0-9a-f]{64})" + _E, 2.8),
    ("shopify-token", ("shp",), _B + r"shp(?:at|ca|pa|ss)_([0-9a-fA-F]{32})" + _E, 2.8),
    ("databricks-token", ("dapi",), _B + r"dapi([0-9a-f]{32})" + _E, 2.8),
    ("telegram-token", (":AA",), r"(?<!\d)\d{8,10}:(AA[A-Za-z0-9_-]{33})" + _E, 3.2),
    ("age-key", ("AGE-SECRET-KEY-1",), r"AGE-SECRET-KEY-1([A-Z0-9]{58})", 3.0),
    ("jwt", ("eyJ",), _B + r"eyJ([A-Za-z0-9_-]{10,4000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,1000})", 3.4),
    ("azure-key", ("AccountKey=",), r"AccountKey=([A-Za-z0-9+/]{80,90}={0,2})", 3.8),
    ("url-password", ("://",), r"[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{1,100}:([^\s:/@]{6,100})@[^\s@]{3}", 2.2),
    ("basic-auth", ("asic ",), r"[Aa]uthorization: ?[Bb]asic ([A-Za-z0-9+/]{12,500}={0,2})", 2.8),
    ("bearer-token", ("earer ",), r"[Aa]uthorization: ?[Bb]earer ([A-Za-z0-9._~+/-]{20,2000}=*)", 3.2),
)
_COMPILED: Final = tuple((kind, words, re.compile(p), bits) for kind, words, p, bits in _SHAPES)
_PEM: Final = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END: Final = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
PEM_LIMIT: Final = 4096  # characters: an RSA key of 4096 bits has about 3,250 in PEM
_ASSIGNED: Final = re.compile(
    r"(?i)(?<![a-z0-9])(?:api[_-]?key|secret[_-]?(?:key|token)?|access[_-]?(?:key|token)|auth[_-]?token|client[_-]?secret"
    r"|private[_-]?key|passw(?:or)?d|pwd)['\"]?[ \t]{0,3}[:=][ \t]{0,3}['\"]?([A-Za-z0-9+/_.~!@#$%^&*-]{12,200})"
)
_PLACEHOLDER: Final = re.compile(
    r"(?i)example|placeholder|your|changeme|redacted|dummy|sample|xxxx|\*\*\*|<|\.\.\.|1234567"
)


def find_secrets(text: str) -> Iterator[Hit]:
    """Yield credentials found in ``text`` (category ``sec``)."""
    taken: list[tuple[int, int]] = []
    for m in _PEM.finditer(text):
        end = _PEM_END.search(text, m.end(), min(len(text), m.end() + PEM_LIMIT))
        stop = end.end() if end else min(len(text), m.end() + PEM_LIMIT)
        taken.append((m.start(), stop))
        yield Hit("sec", "private-key", m.start(), stop)
    for kind, literals, pattern, bits in _COMPILED:
        if not any(word in text for word in literals):
            continue
        for m in pattern.finditer(text):
            part = m.group(1)
            if entropy(part) >= bits and not _PLACEHOLDER.search(part) and not _overlaps(m, taken):
                taken.append(m.span())
                yield Hit("sec", kind, m.start(), m.end())
    for m in _ASSIGNED.finditer(text):
        part = m.group(1)
        if not _overlaps(m, taken) and _random(part) and not _PLACEHOLDER.search(part):
            yield Hit("sec", "assigned-secret", m.start(1), m.end(1))


def entropy(text: str) -> float:
    """Shannon entropy of the characters of ``text`` in bits per character."""
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values()) if text else 0.0


def _random(part: str) -> bool:
    kinds = sum((any(c.isdigit() for c in part), any(c.islower() for c in part), any(c.isupper() for c in part)))
    return entropy(part) >= 3.0 and (kinds == 3 or (kinds == 2 and any(c.isdigit() for c in part)))


def _overlaps(match: re.Match[str], taken: list[tuple[int, int]]) -> bool:
    return any(match.start() < end and start < match.end() for start, end in taken)
