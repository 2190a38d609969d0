"""The index and the secrets of a key ring's directory, which every part of the ring works on."""

from __future__ import annotations

from pathlib import Path

from gensafe.core.errors import KeyError_
from gensafe.keys.disk import read_index
from gensafe.keys.index import Index, KeyInfo, Role
from gensafe.keys.stops import Stops
from gensafe.keys.vault import Vault, write_file


class Holder:
    """What is read and written; ``gensafe.keys.ring`` says what it means."""

    def __init__(self, directory: Path, index: Index, vault: Vault) -> None:
        self.directory = directory
        self._index = index
        self._vault = vault
        self.stops = Stops(directory)

    def _save(self, index: Index) -> None:
        write_file(self.directory / "keyring.json", index.to_json())
        self._index = index

    def _reload(self) -> None:
        self._index = read_index(self.directory / "keyring.json")

    def _need(self, role: Role, fix: str) -> KeyInfo:
        info = self._index.active(role)
        if info is None:
            raise KeyError_(f"the key ring has no active {role.value} key", fix=fix)
        return info
