"""Samples through the configured chain: same gate, marks, signer and log as any output of this installation.

For each medium that an engine makes: created in every container that can be written, edited from the first one,
composed of two, and recovered after the first one lost its manifest in a re-encoding.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gensafe.embedded
from gensafe.cli.conformance.pack import Pack
from gensafe.cli.demo.scenario import PIECES, Piece, attack
from gensafe.cli.generate import SUFFIXES
from gensafe.client import Output
from gensafe.core.config import Config
from gensafe.core.errors import GensafeError
from gensafe.core.types import Conclusion, Modality
from gensafe.embedded import Embedded
from gensafe.installation import Installation
from gensafe.media import ENCODABLE

MADE_FROM = {"edited": 1, "composed": 2}  # inputs of the output's own medium: docs/signing.md says what each becomes


def make(pack: Pack, config: Config, wanted: frozenset[str]) -> None:
    """Make all that the engines can; what cannot be made is noted with its reason.

    Args:
        pack: Where they go.
        config: The installation.
        wanted: Media to make; the others are noted as left out.

    Raises:
        ConfigError: the configuration is wrong.
        GensafeError: the installation cannot be opened, by a server that runs on it for one.
    """
    pack.tell(f"samples by the configured chain, data in {config.data_dir}")
    with gensafe.embedded.open(config) as here:
        for piece in PIECES:
            if piece.modality not in wanted:
                pack.omit(f"{piece.modality} samples", "not asked for")
                continue
            engine = here.engine(piece.modality)
            if not engine:
                pack.omit(f"{piece.modality} samples", "no configured engine makes it")
                continue
            _Medium(pack, here, piece, piece.prompts.get(engine) or piece.prompts[""]).make()
    anchors(pack, "", config)


def anchors(pack: Pack, prefix: str, config: Config) -> None:
    """Write the roots under which the samples verify."""
    home = Installation(config)
    keys = home.read_keys()
    pack.write(f"trust/{prefix}signers.pem", keys.trust_anchors())
    stamps = b"".join(each.pem for each in home.trust_lists().time_stamps) + keys.tsa_anchors()
    if stamps:
        pack.write(f"trust/{prefix}time-stamps.pem", stamps)


class _Medium:
    """The samples of one medium."""

    def __init__(self, pack: Pack, here: Embedded, piece: Piece, prompt: str) -> None:
        self._pack = pack
        self._here = here
        self._piece = piece
        self._prompt = prompt

    def make(self) -> None:
        """Make them; the first one is the source of those that need a source."""
        first, *others = ENCODABLE[self._piece.modality]
        made = self._generated("created", first)
        for media_type in others:
            self._generated("created", media_type)
        if made is None:
            return
        output, path = made
        sources = [path]
        for kind, count in MADE_FROM.items():
            if self._piece.modality is Modality.TEXT:
                self._pack.omit(f"text {kind}", "the manifest of a text takes no ingredients (docs/signing.md)")
            elif (found := self._generated(kind, first, inputs=sources[:count])) is not None:
                sources.append(found[1])
        self._recovered(output)

    def _generated(self, kind: str, media_type: str, **wishes: Any) -> tuple[Output, Path] | None:  # noqa: ANN401 - as the client's
        modality, suffix = self._piece.modality, suffix_of(media_type)
        name = f"{modality}-{kind}-{suffix[1:]}"
        self._pack.show(name, 0, 0)
        try:
            output = self._here.generate(
                self._prompt,
                modality.value,
                media_type=media_type,
                seed=self._piece.seed,
                max_tokens=self._piece.max_tokens,
                **wishes,
            )
        except GensafeError as error:
            self._pack.omit(name, error.message)
            return None
        manifest = output.completed.manifest
        sidecar = b"" if manifest.embedded else manifest.sidecar
        said = self._here.verify(output.data, name=f"{name}{suffix}", sidecar=sidecar, crjson=True)
        wanted = Conclusion.PROVED.value
        path = self._pack.add(
            name, kind, modality.value, f"{name}{suffix}", output.data, media_type, said, wanted=wanted, sidecar=sidecar
        )
        return output, path

    def _recovered(self, output: Output) -> None:
        piece = self._piece
        suffix = Path(piece.attacked).suffix
        data = attack(piece.modality, output.data, output.media_type)
        name = f"{piece.modality}-recovered-{suffix[1:]}"
        said = self._here.verify(data, name=f"{name}{suffix}", crjson=True)
        self._pack.add(
            name,
            "recovered",
            piece.modality.value,
            f"{name}{suffix}",
            data,
            SUFFIXES[suffix],
            said,
            wanted=piece.recovered.value,
        )


def suffix_of(media_type: str) -> str:
    """File name suffix of a media type that can be written."""
    return next(suffix for suffix, known in SUFFIXES.items() if known == media_type)
