"""ISO/IEC 42001:2023, the controls of annex A a generating service leaves evidence for."""

from __future__ import annotations

from typing import Final

from gensafe.audit import entries as names
from gensafe.compliance.duty import Duty, Regime, by_facts, by_share, filters_held
from gensafe.compliance.regimes.common import (
    CHANGE_EVENTS,
    ERASURE_EVENTS,
    FILTER_EVENTS,
    REVIEW_EVENTS,
    changes,
    erasures,
    log_facts,
    models,
    reviews,
)

_FROM_MEMORY: Final = "Control numbers are from general knowledge of the standard; its text was not available."

# the only number, 0, asks whether there was anything to be judged
ISO_42001: Final = Regime(
    key="iso-42001",
    title="ISO/IEC 42001:2023, annex A",
    standing="A voluntary management-system standard; certification is about the organisation.",
    duties=(
        Duty(
            "iso-a628",
            "Event logs are recorded",
            "A.6.2.8",
            "append-only log with signed checkpoints",
            by_facts(log_facts, "entries of the period; gaps are listed", needs=lambda e: e.entries > 0),
            "That events outside the service were logged.",
            _FROM_MEMORY,
            events=names.EVENTS,
        ),
        Duty(
            "iso-intent",
            "Every output follows a recorded request",
            "A.6.2.8",
            "intent logged before generation, release refused without it",
            by_share(lambda e: e.intent_first, "outputs whose intent is in the log before them"),
            "Nothing further.",
            _FROM_MEMORY,
            events=(names.OPENED, names.RELEASED),
        ),
        Duty(
            "iso-a626",
            "The system is monitored in operation",
            "A.6.2.6",
            "verdicts, failures and filter outages as entries",
            filters_held(),
            "Reactions of people to what monitoring shows.",
            _FROM_MEMORY,
            events=FILTER_EVENTS,
        ),
        Duty(
            "iso-oversight",
            "People can see and overrule what the system is unsure of",
            "A.9",
            "doubtful outputs are held; each release or rejection is an entry",
            by_facts(reviews, "outputs held for a person, and what was decided"),
            "That the reviewers were competent and took the time.",
            _FROM_MEMORY,
            events=REVIEW_EVENTS,
        ),
        Duty(
            "iso-change",
            "Changes are controlled",
            "Clause 8, A.6.2",
            "policy, configuration and key changes as entries",
            by_facts(changes, "changes in the period, and the policies in force"),
            "The decision process behind a change.",
            _FROM_MEMORY,
            events=CHANGE_EVENTS,
        ),
        Duty(
            "iso-inventory",
            "Models in use are known by version and digest",
            "A.4, A.6.2",
            "each output names model, version and weights digest",
            by_share(lambda e: e.model_named, "outputs name model and weights digest"),
            "Licence and documentation of third-party models.",
            _FROM_MEMORY,
        ),
        Duty(
            "iso-models",
            "Model inventory",
            "A.4",
            "model names and digests in the log",
            by_facts(models, "models that made outputs in the period"),
            "Models that were installed and never used.",
            _FROM_MEMORY,
        ),
        Duty(
            "iso-a8",
            "Interested parties are informed",
            "A.8",
            "manifest and label on every output, reports of misuse taken in",
            by_share(lambda e: e.manifest, "outputs carry a manifest"),
            "Information given outside the files.",
            _FROM_MEMORY,
        ),
        Duty(
            "iso-data",
            "Personal data is minimised and can be erased",
            "A.7",
            "commitments instead of prompts; erasure destroys keys and leaves a tombstone",
            by_facts(erasures, "erasures and legal holds of the period"),
            "Copies outside the service.",
            _FROM_MEMORY,
            events=ERASURE_EVENTS,
        ),
    ),
    not_covered=("Policies, roles, training, impact assessment, internal audit, management review.",),
)
