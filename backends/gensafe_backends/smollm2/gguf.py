"""Read a GGUF file: metadata and tensors as raw bytes, mapped and not copied.

Format: the ggml project's ``docs/gguf.md``, version 3: magic, version, counts, key/value pairs, tensor infos, then the
tensor data at offsets aligned to ``general.alignment`` (32 unless stated). All numbers are little-endian.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import BackendError

_MAGIC: Final = b"GGUF"
# value types of docs/gguf.md (``gguf_metadata_value_type``), as formats of ``struct``
_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING: Final = 8  # value type of docs/gguf.md
_ARRAY: Final = 9  # value type of docs/gguf.md
F32, Q4_1, Q8_0 = 0, 3, 8  # tensor types of docs/gguf.md (``ggml_type``)
_BLOCK: Final = {F32: (1, 4), Q4_1: (32, 20), Q8_0: (32, 34)}  # values and bytes of one block
MAX_ITEMS: Final = 1 << 22  # of one array: a vocabulary has below 2^18


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: its kind, its shape (rows first) and its bytes as uint8 (rows, bytes of a row)."""

    kind: int
    shape: tuple[int, ...]
    data: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Gguf:
    """A whole file."""

    metadata: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


class _Reader:
    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at = data, 0

    def scalar(self, code: str) -> Any:  # noqa: ANN401 - as the file says
        size = struct.calcsize("<" + code)
        (value,) = struct.unpack_from("<" + code, self.data, self.at)
        self.at += size
        return value

    def string(self) -> str:
        length = self.scalar("Q")
        if length > len(self.data) - self.at:
            raise BackendError("the GGUF file is cut short")
        text = self.data[self.at : self.at + length].decode("utf-8")
        self.at += length
        return text

    def value(self, kind: int) -> Any:  # noqa: ANN401 - as the file says
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            return self.scalar(_SCALARS[kind])
        inner, count = self.scalar("I"), self.scalar("Q")
        if count > MAX_ITEMS:
            raise BackendError("the GGUF file holds an array that is too long")
        return [self.value(inner) for _ in range(count)]


def read_gguf(path: Path) -> Gguf:
    """Open a file. Its tensors stay valid as long as the result is held.

    Raises:
        BackendError: not a GGUF file of version 3, damaged, or with a tensor kind that is not read here.
    """
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return _read(_Reader(data))
    except (OSError, ValueError, KeyError, struct.error) as error:
        raise BackendError(f"{path.name} is not a usable GGUF file: {error}") from error


def _read(reader: _Reader) -> Gguf:
    if reader.data[:4] != _MAGIC:
        raise BackendError("not a GGUF file")
    reader.at = 4
    version, tensors, pairs = reader.scalar("I"), reader.scalar("Q"), reader.scalar("Q")
    if version != 3 or tensors > MAX_ITEMS or pairs > MAX_ITEMS:
        raise BackendError(f"a GGUF file of version {version} is not read here")
    metadata = {reader.string(): reader.value(reader.scalar("I")) for _ in range(pairs)}
    infos: list[tuple[str, tuple[int, ...], int, int]] = []
    for _ in range(tensors):
        name = reader.string()
        shape = tuple(reader.scalar("Q") for _ in range(reader.scalar("I")))
        infos.append((name, shape[::-1], reader.scalar("I"), reader.scalar("Q")))
    alignment = int(metadata.get("general.alignment", 32))
    start = -(-reader.at // alignment) * alignment
    whole = np.frombuffer(reader.data, np.uint8)
    return Gguf(metadata, {name: _tensor(whole, start + at, shape, kind) for name, shape, kind, at in infos})


def _tensor(whole: NDArray[np.uint8], at: int, shape: tuple[int, ...], kind: int) -> Tensor:
    values, size = _BLOCK[kind]
    row = shape[-1] // values * size
    count = row * int(np.prod(shape[:-1]))
    if shape[-1] % values or at + count > len(whole):
        raise BackendError("the GGUF file is cut short")
    return Tensor(kind, shape, whole[at : at + count].reshape(-1, row))
