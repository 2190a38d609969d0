"""What is in a conformance pack, and the folder that it is written to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gensafe.core.errors import InvalidRequest, OutputFailed
from gensafe.core.outfile import write_file
from gensafe.core.types import VerificationReport
from gensafe.verify.render import report_dict

CONTENTS: Final = "pack.json"
CONFIGURED: Final = "configured"
STAND_IN: Final = "stand-in"


@dataclass(frozen=True, slots=True)
class Sample:
    """One file of the pack, and what verification says about it.

    ``kind``: created | edited | composed | recovered | revoked | expired. ``signer``: configured | stand-in.
    ``wanted`` and ``got`` are conclusions of ``gensafe verify``. Paths are relative to the pack; "" = there is none.
    """

    name: str
    kind: str
    medium: str
    media_type: str
    file: str
    signer: str
    wanted: str
    got: str
    report: str
    crjson: str = ""
    sidecar: str = ""


@dataclass(frozen=True, slots=True)
class Omission:
    """Something that belongs into a pack and is not in this one."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class RubricResult:
    """One rubric over one sample: how many traits hold, and which do not. ``known``: failures that are explained."""

    sample: str
    rubric: str
    file: str
    held: int
    failed: tuple[str, ...]
    known: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything in a pack, as ``pack.json`` has it. ``components``: of the SBOM; 0 = none was made."""

    samples: tuple[Sample, ...]
    omissions: tuple[Omission, ...]
    rubrics: tuple[RubricResult, ...]
    components: int


@dataclass(slots=True)
class Pack:
    """A pack under construction in ``folder``."""

    folder: Path
    tell: Callable[[str], object]
    show: Callable[[str, int, int], None]
    samples: list[Sample] = field(default_factory=list)
    omissions: list[Omission] = field(default_factory=list)
    rubrics: list[RubricResult] = field(default_factory=list)
    components: int = 0

    def contents(self) -> Contents:
        """What is in it now."""
        return Contents(tuple(self.samples), tuple(self.omissions), tuple(self.rubrics), self.components)

    def omit(self, what: str, reason: str) -> None:
        """Note what is left out, and say so."""
        self.omissions.append(Omission(what, reason))
        self.say(f"  not made: {what}: {reason}")

    def say(self, line: str) -> None:
        """Print a line in place of the progress."""
        self.show("", 0, 0)
        self.tell(line)

    def unexpected(self) -> list[str]:
        """What was run and came out otherwise than it must, each in a sentence."""
        found = [f"{s.file}: wanted {s.wanted}, got {s.got}" for s in self.samples if s.got != s.wanted]
        found += [f"{r.sample}: {r.rubric}: {', '.join(r.failed)}" for r in self.rubrics if r.failed]
        return found

    def write(self, name: str, data: bytes | str) -> str:
        """Write a file of the pack; its name.

        Raises:
            OutputFailed: it cannot be written.
        """
        target = self.folder / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputFailed(f"cannot make {target.parent}: {error.strerror}", field="--out") from None
        write_file(target, data.encode() if isinstance(data, str) else data, "--out")
        return name

    def add(
        self,
        name: str,
        kind: str,
        medium: str,
        file: str,
        data: bytes,
        media_type: str,
        verified: VerificationReport,
        *,
        wanted: str,
        signer: str = CONFIGURED,
        sidecar: bytes = b"",
    ) -> Path:
        """Write a sample with its report, crJSON and sidecar; the sample's path."""
        report = report_dict(verified)
        written = self.write(f"samples/{file}", data)
        sample = Sample(
            name=name,
            kind=kind,
            medium=medium,
            media_type=media_type,
            file=written,
            signer=signer,
            wanted=wanted,
            got=verified.conclusion.value,
            report=self.write(f"reports/{name}.json", json.dumps(report, indent=1, sort_keys=True) + "\n"),
            crjson=self.write(f"crjson/{name}.json", verified.crjson) if verified.crjson else "",
            sidecar=self.write(f"samples/{file}.c2pa", sidecar) if sidecar else "",
        )
        self.samples.append(sample)
        self.say(f"  {'ok  ' if sample.got == wanted else 'FAIL'} {written}: {sample.got}")
        return self.folder / written


def prepare(out: Path) -> Path:
    """Make ``out`` an empty folder.

    Raises:
        InvalidRequest: it exists and holds something, or cannot be made.
    """
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InvalidRequest(f"{out} exists and is not an empty folder", field="--out", fix="name a new one")
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidRequest(f"cannot use {out}: {error.strerror}", field="--out") from None
    return out
