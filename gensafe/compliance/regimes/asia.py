"""China (Labeling Measures, GB 45438-2025), Korea (AI Basic Act), India (IT Rules as amended 2026)."""

from __future__ import annotations

from typing import Final

from gensafe.audit import entries as names
from gensafe.compliance.duty import Duty, Regime, by_facts, by_share, filters_held, outside
from gensafe.compliance.regimes.common import FILTER_EVENTS, log_facts, notices
from gensafe.core.hazards import AILUMINATE

_SECONDARY: Final = "Read in secondary sources and samples, not in the official text."

# the only number, 0, asks whether there was anything to be judged
CHINA: Final = Regime(
    key="cn-gb45438",
    title="China: Measures for Labeling AI-Generated Content, GB 45438-2025",
    standing="In force since 1 September 2025.",
    duties=(
        Duty(
            "cn-implicit",
            "Implicit label: the AIGC metadata element, exactly one per file",
            "GB 45438-2025; TC260-PG-20258A",
            "TC260:AIGC in XMP, key AIGC in MP3 and MP4, read back from the final bytes",
            by_share(lambda e: e.aigc, "carry the AIGC element"),
            "That the producer code belongs to the operator.",
            _SECONDARY + " The place in WAV is not confirmed (XMP is used); plain text has none here.",
        ),
        Duty(
            "cn-explicit",
            "Explicit label that people see or hear",
            "Labeling Measures art. 4; GB 45438-2025",
            "drawn characters, sounded rhythm, written line",
            by_share(lambda e: e.visible, "carried an explicit label"),
            "Notices of the user interface; labels of virtual scenes.",
            _SECONDARY,
        ),
        Duty(
            "cn-size",
            "Characters of at least 5 % of the shortest side; notices of at least 2 s",
            "GB 45438-2025",
            "size measured on the drawn pixels",
            by_share(lambda e: e.visible_size, "labels that were drawn or sounded have the measured minimum size"),
            "Legibility on every background and screen.",
            _SECONDARY + " Positions and the speed of speech are not confirmed.",
        ),
        Duty(
            "cn-watermark",
            "Digital watermarks are encouraged",
            "Labeling Measures",
            "watermark detected on the final bytes",
            by_share(lambda e: e.watermark, "have a watermark that was detected on the final bytes"),
            "Nothing further.",
            _SECONDARY,
        ),
        Duty(
            "cn-logs",
            "Deliveries without explicit label are agreed with the user and logged for six months",
            "Labeling Measures art. 9",
            "log of releases with their label evidence",
            by_facts(log_facts, "entries of the period", needs=lambda e: e.entries > 0),
            "The agreement with the user; the recipient is a pseudonym here.",
            "The wording of article 9 was not confirmed.",
            events=names.EVENTS,
        ),
    ),
    not_covered=("Filing of algorithms and models; duties of propagators and app stores.",),
)

# as the line above
KOREA: Final = Regime(
    key="kr-ai-basic",
    title="Korea: AI Basic Act, article 31",
    standing="In force since 22 January 2026; fines after a grace period of at least a year.",
    duties=(
        Duty(
            "kr-label",
            "Generated outputs are labelled; exported files visibly, audibly or, with a notice, machine-readably",
            "AI Basic Act art. 31; guidelines of January 2026",
            "machine-readable layers on every output, notice on request",
            by_share(lambda e: e.two_layers, "carry a signed manifest and a detected watermark"),
            "The notice that the decree asks for beside machine-readable marks.",
            _SECONDARY,
        ),
        Duty(
            "kr-visible",
            "Deep fakes carry a clear label",
            "AI Basic Act art. 31",
            "drawn, sounded or written notice",
            by_facts(
                notices,
                "how many outputs carry a visible or audible notice; deep fakes need one",
                needs=lambda e: e.outputs > 0,
            ),
            "Whether an output is a deep fake.",
            _SECONDARY,
        ),
        Duty(
            "kr-notice",
            "Users are told beforehand that they use AI",
            "AI Basic Act art. 31",
            "none in the service",
            outside("the user interface is the operator's"),
            "All of it.",
            _SECONDARY,
            events=(),
        ),
    ),
    not_covered=("High-impact AI duties; domestic representative.",),
)

INDIA: Final = Regime(
    key="in-it-rules",
    title="India: IT (Intermediary) Rules as amended in 2026",
    standing="Notified 10 February 2026, in force 20 February 2026.",
    duties=(
        Duty(
            "in-metadata",
            "Permanent metadata or a unique identifier, where feasible",
            "Amendment Rules 2026",
            "label fields in the file, identifier in the watermark",
            by_share(lambda e: e.label_complete, "carry provider, system, version, time and identifier in the file"),
            "Permanence against later removal.",
            _SECONDARY,
        ),
        Duty(
            "in-label",
            "A prominent label",
            "Amendment Rules 2026",
            "drawn, sounded or written notice",
            by_share(lambda e: e.visible, "carried a visible or audible notice"),
            "Prominence as a court would see it.",
            _SECONDARY + " The draft's 10 % rule is reported not to be in the final text.",
        ),
        Duty(
            "in-block",
            "Technical measures block unlawful categories",
            "Amendment Rules 2026",
            "prompt and output filters that fail closed",
            filters_held(*AILUMINATE),
            "That the filters catch everything they should.",
            _SECONDARY,
            events=FILTER_EVENTS,
        ),
        Duty(
            "in-takedown",
            "Takedown within three hours (two for intimate images)",
            "Amendment Rules 2026",
            "misuse reports as entries",
            by_facts(lambda e: {"misuse_reports": dict(e.misuse)}, "reports of misuse, by category"),
            "When an order arrived and when content elsewhere was taken down.",
            _SECONDARY,
            events=(names.MISUSE_REPORTED,),
        ),
    ),
    not_covered=("Duties of significant social media intermediaries (user declarations).",),
)
