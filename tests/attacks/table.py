"""What each script of ``../shared/security`` must print for its attack to have failed.

The scripts were written against the code they broke. ``EDITS`` holds what has another name since; nothing else of them
is changed. The same faults stand as tests of their own in ``tests/unit`` and ``tests/integration``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

EDITS: Final = {
    "dbl_dbl": (
        ("at=at", "fault_point=at"),
        ("intent(rid)", "intent(__import__('gensafe.core.types',fromlist=['x']).RequestKey('t',rid))"),
    ),
    "rv_rv": (("at=at", "fault_point=at"),),
    "xff": (("/v1/matches", "/softbinding/v1/matches"),),
    "hide": (
        (
            "(d/'withheld.jsonl').read_bytes()",
            "((d/'withheld.jsonl').read_bytes() if (d/'withheld.jsonl').exists() else b'')",
        ),
    ),
}


@dataclass(frozen=True)
class Attack:
    """One run of a script.

    Attributes:
        script: Its name without ``.py``.
        world: Which set-up it needs (``tests.attacks.worlds``); "" = none.
        fails: Patterns that must all be found in what it prints (output and errors).
        never: Patterns that must not be found.
        reason: Why the attack fails, for people.
        arguments: Of the script.
        completes: The script runs to its end; the others stop where the attack is refused.
    """

    script: str
    world: str
    fails: tuple[str, ...]
    reason: str
    never: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    completes: bool = True


ATTACKS: Final = (
    Attack("clock", "", ("clock.corrected",), "a clock that was put right is an entry, and the log's times follow it"),
    Attack("diffdos", "", (r"words 1600: 0\.\d\d s",), "comparison of texts is bounded"),
    Attack("diffdos2", "", (r"shuffled: [0-2]\.\d s",), "comparison of texts is bounded"),
    Attack(
        "httpcfg",
        "",
        ("refused '0.0.0.0:1'", "refused server.max_queued", "refused server.drain_s"),
        "addresses off loopback need TLS and identity, on every port; numbers have ranges",
        ("accepted: production", r"accepted listen '0\.0", r"accepted listen '\[::\]"),
    ),
    Attack("mitm", "", (r"according to 127\.0\.0\.1",), "the line says who said so; off loopback TLS is needed"),
    Attack(
        "sb",
        "",
        ("'landlock': True", "Permission denied"),
        "the cage lets the parser read nothing but Python's own files",
        completes=False,
    ),
    Attack(
        "px_px",
        "",
        ("reused 64 tokens",),
        "nothing of another tenant's context is reused, asked before or not",
        (r"reused (?!64 )\d+ tokens",),
    ),
    Attack(
        "dbl_dbl",
        "",
        ("ended with Released",),
        "the first ending stands; the registry is told when it can be",
        ("raised",),
    ),
    Attack(
        "rv_rv",
        "",
        ("registry row points to log index",),
        "one release, one row, both name the same entry",
        ("raised",),
    ),
    Attack("rv_rv2", "", ("log size",), "the log of the script before can be opened and goes on"),
    Attack(
        "k_matrix",
        "k",
        (
            r"FetchOutput\(A rec\) \| unauth \| unauth \| OK \| notfound",
            r"Resolve\(A rec\) \| unauth \| unauth \| OK \| notfound",
        ),
        "strangers are refused, other tenants find nothing",
    ),
    Attack(
        "k_leak",
        "k",
        ("NOT_FOUND|notfound",),
        "another tenant gets neither differences nor the record",
        ("LEAK",),
        completes=False,
    ),
    Attack(
        "k_leak2",
        "k",
        ("IndexError|False",),
        "no difference is given to another tenant (the script finds none)",
        ("given back: True",),
        completes=False,
    ),
    Attack("like", "k", ("altered|derived",), "redacted words are not given back", ("given back: True",)),
    Attack(
        "edit",
        "k",
        ("stripped, unchanged: .*derived", "painted  48 x  48"),
        "likeness is never proof; painted parts are found",
        ("proved",),
    ),
    Attack(
        "edit2",
        "k",
        ("stripped: .*derived", "sound track replaced whole: altered"),
        "likeness is never proof; sound counts in a film",
        ("proved",),
    ),
    Attack("transplant", "k", ("altered|transplanted",), "thin strokes count", ("proved",)),
    Attack(
        "k_fetch",
        "k",
        ("whole: True", "not those of the record"),
        "a download that does not fit its digest is an error",
        completes=False,
    ),
    Attack("k_hold", "k", (), "legal holds are for the owner", ("reads:",)),
    Attack(
        "k_inname", "k", (r"manifest: False",), "names of inputs stay out of manifests", (r": True",), completes=False
    ),
    Attack("mt", "k", ("INVALID_ARGUMENT",), "media types are a closed list", ("accepted",)),
    Attack("xff", "k", (r"made-up X-Forwarded-For each: \{429: 150\}",), "the header is not believed"),
    Attack(
        "k_slow", "k", ("victim OK", "cancelled: OK"), "a slot ends when the work ends", ("victim .* got",), ("image",)
    ),
    Attack(
        "k_slowup", "k", ("half-sent headers: 0 of 200",), "strangers' bodies are not read, headers have a time limit"
    ),
    Attack(
        "k_misc",
        "k",
        ("B uses A's request id: OK", "more than 240 classifications"),
        "request ids are per tenant; Classify has a quota",
        completes=False,
    ),
    Attack("dd_d", "dd", (r"the two uploads: \[\(200",), "comparison is bounded and holds up nobody", ("no answer",)),
    Attack("gt_g", "gt", ("more than 5 verifications a minute",), "Verify has a quota", completes=False),
    Attack(
        "r_storm",
        "r",
        ("afterwards one request",),
        "what does not fit is refused, and the next request is served",
        ("UNKNOWN", "INTERNAL"),
        ("r", "64"),
    ),
    Attack(
        "r_term",
        "r",
        (r"cancel of a queued job: state \d", r"process ended after ([0-9]|1[0-4])\.\d s"),
        "SIGTERM ends the process in drain_s (10 here) and 2 s",
        (),
        ("r", "SIGTERM"),
    ),
    Attack("hg_h", "hg", ("72 blocked", "guard gone.*blocked"), "no guard, no output; nothing piles up"),
    Attack("m_certs", "", (), "makes the certificates for the next"),
    Attack(
        "m_t",
        "m",
        (
            "noname -> UNAUTHENTICATED",
            "empty -> UNAUTHENTICATED",
            "uri -> .*spiffe://x/acme",
            "wrong key -> UNAUTHENTICATED",
        ),
        "a certificate without a usable name, and a wrong key, are refused",
        (r"noname -> \[", r"empty -> \["),
    ),
    Attack(
        "hide",
        "e",
        ("now reads 'blocked'", "not valid: manifest-unsigned, view"),
        "an export without its signature holds nothing",
    ),
    Attack(
        "fuzz", "e", ("'fail'",), "no mutated bundle passes, none ends in a crash", ("'pass'", "'crash'"), ("2000", "7")
    ),
)
