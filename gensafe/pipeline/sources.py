"""What an output was made from, for its manifest and its entry: inputs, and the file the engine answered with.

1. relationship: one input of the output's own medium is its parent, several are components, others went into the
   generation; an engine's answer that carries credentials is the parent in place of an input
2. read each source's manifest in a worker, under every signer list that this installation trusts
3. carry it along as a validated ingredient where the output's container and the C2PA library allow; else say why not
4. refuse the output where policy demands that all are kept and one is not
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from gensafe import media as codecs
from gensafe.core.digest import sha256
from gensafe.core.errors import CredentialsLost
from gensafe.core.types import Fate, Judged, Modality, Relationship, SourceFate
from gensafe.provenance import InputFact, TrustStore
from gensafe.provenance.sources import SourceReading, ingredient_type, may_carry, read_contained

ANSWER: Final = "answer"
_IN_TEXT: Final = "a text's manifest takes no ingredients: each of their bytes would cost four in the text"


@dataclass(frozen=True, slots=True)
class Sources:
    """``inputs`` for the manifest, ``fates`` for the entry, ``trust`` to record the inputs' own manifests under."""

    inputs: tuple[InputFact, ...]
    fates: tuple[SourceFate, ...]
    trust: TrustStore


@dataclass(frozen=True, slots=True)
class _Source:
    role: str
    digest: str
    media_type: str
    data: bytes
    relationship: Relationship
    reading: SourceReading | None
    refusal: str = ""

    @property
    def kept(self) -> bool:
        return self.reading is not None and not self.refusal


def find_sources(judged: Judged, trust: TrustStore, *, keep: bool) -> Sources:
    """What ``judged`` was made from.

    Args:
        judged: The draft; its request's inputs and its answer have their bytes, as far as these may carry credentials.
        trust: Who is trusted as a signer of sources.
        keep: Policy demands that every manifest of a source goes on into the output.

    Raises:
        CredentialsLost: one does not.
    """
    found = _read(judged, trust)
    lost = [each for each in found if each.reading is not None and each.refusal]
    if keep and lost:  # 4.
        raise CredentialsLost(
            f"policy demands that credentials are kept, and those of {lost[0].role} cannot be: {lost[0].refusal}",
            fix="ask for another kind of output, or leave the file out",
        )
    if any(each.kept and each.reading is not None and each.reading.overruled for each in found):
        trust = replace(trust, signers=())  # the library would record as trusted what we do not trust
    return Sources(
        tuple(_input(each) for each in found if each.kept or each.role != ANSWER),
        tuple(_fate(each, each.reading) for each in found if each.reading is not None),
        trust,
    )


def _read(judged: Judged, trust: TrustStore) -> list[_Source]:
    request, answer = judged.admission.request, judged.draft.answer
    found: list[_Source] = []
    types = [codecs.canonical_type(item.media_type or codecs.sniff(item.data)) for item in request.inputs]
    same = [number for number, kind in enumerate(types) if codecs.modality_of(kind) is request.modality]  # 1.
    for number, (item, digest) in enumerate(zip(request.inputs, judged.admission.input_digests, strict=True)):
        relationship = Relationship.INPUT
        if request.modality is not Modality.TEXT and number in same:
            relationship = Relationship.PARENT if len(same) == 1 else Relationship.COMPONENT
        reading = read_contained(item.data, trust) if may_carry(item.data) else None  # 2.
        # never the file's name: a manifest is public and permanent, and names of files name people
        source = _Source(f"input {number + 1}", digest, types[number], item.data, relationship, reading)
        found.append(_judged(source, request.modality))
    if answer is None or not may_carry(answer.data):
        return found
    reading = read_contained(answer.data, trust)
    if reading is None:
        return found
    source = _Source(ANSWER, sha256(answer.data), reading.media_type, answer.data, Relationship.PARENT, reading)
    source = _judged(replace(source, refusal=answer.dropped), request.modality)
    if source.kept:  # one parent only: what the engine made of the input is nearer
        found = [_under(each) for each in found]
    return [*found, source]


def _under(source: _Source) -> _Source:
    parent = source.relationship is Relationship.PARENT
    return replace(source, relationship=Relationship.INPUT) if parent else source


def _judged(source: _Source, modality: Modality) -> _Source:
    """3. Whether its manifest goes on."""
    if source.reading is None:
        return source
    refusal = source.refusal or (_IN_TEXT if modality is Modality.TEXT else "") or source.reading.refusal
    return replace(source, refusal=refusal)


def _input(source: _Source) -> InputFact:
    data = source.data if source.kept else None
    kind = ingredient_type(source.reading.media_type) if source.reading and source.kept else source.media_type
    return InputFact(source.role, kind, source.digest, data, source.relationship)


def _fate(source: _Source, reading: SourceReading) -> SourceFate:
    return SourceFate(
        role=source.role,
        digest=source.digest,
        relationship=source.relationship,
        state=reading.state,
        fate=Fate.KEPT if source.kept else Fate.LOST,
        manifest=reading.manifest,
        mark=reading.mark,
        mark_fate=Fate.TRANSFORMED.value if reading.mark else "",
        note=source.refusal,
    )
