"""What signing needs to know, and what reading finds. No C2PA library type leaves the adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from gensafe.core.types.sources import Relationship

SPEC_VERSION: Final = "2.4.0"
DST: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"
TRAINED_ALGORITHMIC_MEDIA: Final = DST + "trainedAlgorithmicMedia"
COMPOSITE_WITH_TRAINED_ALGORITHMIC_MEDIA: Final = DST + "compositeWithTrainedAlgorithmicMedia"

GENERATION_LABEL: Final = "org.gensafe.generation"
MODERATION_LABEL: Final = "org.gensafe.moderation"
WATERMARK_BOUND: Final = "c2pa.watermarked.bound"
OPENED: Final = "c2pa.opened"
EDITED: Final = "c2pa.edited"
CREATED: Final = "c2pa.created"
PLACED: Final = "c2pa.placed"


@dataclass(frozen=True, slots=True)
class InputFact:
    """A file that went into the generation. ``data`` is embedded as an ingredient only with its provenance."""

    title: str
    media_type: str
    digest: str  # "sha256:<hex>"
    data: bytes | None = None  # given: its own manifest store is carried along; None: digest only
    relationship: Relationship = Relationship.INPUT  # at most one PARENT


@dataclass(frozen=True, slots=True)
class ClaimFacts:
    """Everything a manifest says. There is no field for the prompt's text: manifests cannot be recalled."""

    title: str
    record_id: str  # 13 hex digits
    system_name: str
    system_version: str
    model_name: str
    model_version: str
    weights_digest: str  # "sha256:<hex>" or ""
    prompt_commitment: str  # "hmac-sha256:<hex>"
    verdict_digest: str  # "sha256:<hex>"
    policy_digest: str  # "sha256:<hex>"
    created_ms: int
    development: bool
    digital_source_type: str = TRAINED_ALGORITHMIC_MEDIA
    human_oversight: str = "prompt_guided"  # fully_autonomous | prompt_guided | human_validated
    soft_binding_alg: str = ""  # reverse-DNS name of the watermark scheme; "" = not watermarked
    soft_binding_value: str = ""
    watermark_note: str = ""  # why there is no watermark, where there is none
    inputs: tuple[InputFact, ...] = ()


class ManifestState(StrEnum):
    """TRUSTED: valid, by a signer on one of our signer lists. VALID: intact, by somebody else. INVALID: broken."""

    TRUSTED = "trusted"
    VALID = "valid"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Status:
    """A C2PA status code with where and why."""

    code: str
    url: str = ""
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class SignerReading:
    """The claim signer's certificate. ``fingerprint`` "" = this container does not let us see the certificate."""

    subject: str
    issuer: str
    serial: str
    algorithm: str
    fingerprint: str = ""
    not_before: str = ""
    not_after: str = ""


@dataclass(frozen=True, slots=True)
class TimeStampReading:
    """An RFC 3161 time-stamp. ``trusted`` = by an authority on one of our time-stamp lists."""

    time: str
    trusted: bool
    authority: str = ""


@dataclass(frozen=True, slots=True)
class ActionReading:
    """One recorded action."""

    action: str
    digital_source_type: str = ""
    software_agent: str = ""
    when: str = ""


@dataclass(frozen=True, slots=True)
class SoftBindingReading:
    """A soft binding: the scheme's name and the value it carries."""

    alg: str
    value: str


@dataclass(frozen=True, slots=True)
class IngredientReading:
    """An ingredient with its own verdict. ``state`` None = it came without a manifest.

    ``manifest`` names its manifest in the store; ``generator``, ``signer`` and ``time`` are that manifest's, and
    ``ingredients`` what it was made from in turn.
    """

    title: str
    media_type: str
    relationship: str
    state: ManifestState | None
    failures: tuple[Status, ...] = ()
    manifest: str = ""
    generator: str = ""
    signer: str = ""
    time: str = ""
    ingredients: tuple[IngredientReading, ...] = ()


@dataclass(frozen=True, slots=True)
class ManifestReading:
    """What a manifest store says about one file, and how far that holds.

    ``failures`` may hold "signingCredential.untrusted" on an intact manifest (VALID): an unknown signer breaks nothing.
    ``state`` is this package's own verdict; ``library_state`` what the C2PA library said before our stricter rules.
    """

    state: ManifestState
    library_state: str
    label: str
    embedded: bool
    signer: SignerReading | None
    trust_list: str | None  # name of the signer list that matched
    successes: tuple[Status, ...]
    informational: tuple[Status, ...]
    failures: tuple[Status, ...]
    time_stamp: TimeStampReading | None
    title: str
    generator: str
    actions: tuple[ActionReading, ...]
    ai_disclosure: Mapping[str, Any]
    soft_bindings: tuple[SoftBindingReading, ...]
    ingredients: tuple[IngredientReading, ...]
    assertions: tuple[str, ...]
    generation: Mapping[str, Any]  # our own assertion, {} when absent
    moderation: Mapping[str, Any]
    manifest_digest: str  # "sha256:<hex>" of the store; "" when the container does not let us see it
    remote_url: str = ""  # named in the file, never fetched
    manifests: int = 1
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)
    crjson: str = field(default="", repr=False)

    @property
    def record_id(self) -> str:
        """The record id our own generation assertion names; "" when there is none."""
        value = self.generation.get("recordId", "")
        return value if isinstance(value, str) else ""

    @property
    def development(self) -> bool:
        """Whether the manifest itself says that a development key signed it."""
        return self.generation.get("development") is True

    def has_success(self, code: str) -> bool:
        """Whether ``code`` is among the successes."""
        return any(s.code == code for s in self.successes)

    def failure_codes(self) -> tuple[str, ...]:
        """Failure codes without repeats."""
        return tuple(dict.fromkeys(s.code for s in self.failures))
