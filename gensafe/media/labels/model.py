"""What a label says, and which profile asks for what.

Sources: EU AI Act art. 50(2) and Code of Practice 1.1.1; California B&P Code 22757.3(b); China GB 45438-2025 and
TC260-PG-20258A; Korea AI Basic Act art. 31; India IT Rules as amended 2026; IPTC Photo Metadata 2025.1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gensafe.core.errors import ConfigError

GENERATED: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
ALTERED: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"

MAX_FIELD: Final = 512  # characters; names and addresses are far shorter. Chosen, not measured


@dataclass(frozen=True, slots=True)
class Aigc:
    """The implicit label of GB 45438-2025, key ``AIGC``. Exactly one per file.

    ``label``: "1" is, "2" may be, "3" is suspected to be generated. ``producer`` is the code of the content producer
    (27 characters in practice: 001, 1, credit code, product number). The reserved codes are the producer's and the
    propagator's own integrity data.
    """

    producer: str
    produce_id: str
    label: str = "1"
    reserved1: str = ""
    propagator: str = ""
    propagate_id: str = ""
    reserved2: str = ""

    def encode(self) -> str:
        """The JSON text that goes into the file."""
        return json.dumps(
            {
                "Label": self.label,
                "ContentProducer": self.producer,
                "ProduceID": self.produce_id,
                "ReservedCode1": self.reserved1,
                "ContentPropagator": self.propagator,
                "PropagateID": self.propagate_id,
                "ReservedCode2": self.reserved2,
            },
            ensure_ascii=False,
            separators=(",", ":"),
        )


@dataclass(frozen=True, slots=True)
class LatentLabel:
    """Who made a file, with what, when, under which id; and whether it was created or altered.

    Args:
        provider: Name of the provider (not of a person).
        system: Name of the generating system.
        version: Its version.
        time: RFC 3339 UTC.
        content_id: Unique identifier of the output.
        altered: False = created by the system, True = an input was altered.
        detector: Where this label and the other marks can be checked; "" = not stated.
        profile: Name of the profile the label follows.
        aigc: The Chinese implicit label, where the profile asks for it.
    """

    provider: str
    system: str
    version: str
    time: str
    content_id: str
    altered: bool = False
    detector: str = ""
    profile: str = ""
    aigc: Aigc | None = None

    def __post_init__(self) -> None:
        for name in ("provider", "system", "version", "time", "content_id", "detector", "profile"):
            value = getattr(self, name)
            if len(value) > MAX_FIELD or any(ord(c) < 0x20 for c in value):
                raise ConfigError("a label field is one line of at most 512 characters", field=name)
        if not (self.provider and self.system and self.content_id):
            raise ConfigError("a label names provider, system and content id", field="label")

    @property
    def source_type(self) -> str:
        """The IPTC digital source type."""
        return ALTERED if self.altered else GENERATED


@dataclass(frozen=True, slots=True)
class Profile:
    """What one regime asks of a label.

    ``min_height_permille``: text height as thousandths of the shortest side; ``min_seconds``: of the notice in sound
    and film; ``confirmed`` False: the requirement was read in secondary sources only.
    """

    name: str
    regime: str
    fields: tuple[str, ...]
    text: str
    min_height_permille: int
    min_seconds: int
    aigc: bool = False
    cjk: bool = False
    notes: Mapping[str, str] = field(default_factory=dict)


_BASE: Final = ("provider", "system", "version", "time", "content_id", "action", "source_type")

PROFILES: Final[Mapping[str, Profile]] = {
    "eu": Profile("eu", "eu-ai-act", (*_BASE, "detector"), "AI GENERATED", 50, 2),
    "ca": Profile("ca", "ca-sb942", _BASE, "AI GENERATED", 50, 2),
    "cn": Profile("cn", "cn-gb45438", (*_BASE, "aigc"), "AI", 50, 2, aigc=True, cjk=True),
    "kr": Profile("kr", "kr-ai-basic", _BASE, "AI GENERATED", 50, 2),
    "in": Profile("in", "in-it-rules", _BASE, "AI GENERATED", 50, 2),
}
"""The 5 % and 2 s are China's minimum; the others name no figure, and the same one is used for them."""
