"""A model in a local folder: which files it is made of, the digest of all of them, and that nothing else is read.

Nothing is downloaded and no code of the folder is run: libraries are told to stay offline, weights are read from
safetensors only, and files that can hold code (pickles, ``.py``) count for the digest and are otherwise left alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from gensafe.core.errors import BackendUnavailable, ConfigError

DTYPES: Final = ("float32", "bfloat16", "float16")
Stamp = tuple[int, int]  # size in bytes, time of the last change in ns


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder as it was when its digest was taken.

    Args:
        path: The folder.
        digest: ``sha256:`` over the names and contents of all files in it, at any depth.
        stamps: Name -> size and time of each file then.
    """

    path: Path
    digest: str
    stamps: Mapping[str, Stamp]

    def unchanged(self) -> None:
        """Check, before weights are loaded, that they are still what the digest is of.

        Raises:
            BackendUnavailable: a file came, went or was written since.
        """
        if _stamps(self.path) != self.stamps:
            raise BackendUnavailable(
                "the model's folder changed since its digest was taken", fix="restart the engine to take it up"
            )


def read_folder(path: str, marker: str) -> Folder:
    """Look at a model's folder and take its digest.

    Args:
        path: As configured.
        marker: The file that says what it is: ``config.json`` or ``model_index.json``.

    Raises:
        ConfigError: no such folder, no marker, no safetensors in it, or a file that cannot be read.
    """
    folder = Path(path)
    if not path or not (folder / marker).is_file():
        raise ConfigError(f"must be a local folder with a {marker}", field="path")
    if not any(folder.rglob("*.safetensors")):
        raise ConfigError("holds no .safetensors file", field="path", fix="other formats can run code and are refused")
    state = hashlib.sha256()
    try:
        stamps = _stamps(folder)
        for name in sorted(stamps):
            with (folder / name).open("rb") as file:
                state.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", field="path") from error
    return Folder(folder, "sha256:" + state.hexdigest(), stamps)


def _stamps(folder: Path) -> dict[str, Stamp]:
    found = ((p, p.stat()) for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): (s.st_size, s.st_mtime_ns) for p, s in found}


def need(*packages: str, extra: str) -> None:
    """Check that packages are installed, and keep the libraries that could download from doing so.

    Raises:
        ConfigError: one is not.
    """
    for package in packages:
        if find_spec(package) is None:
            raise ConfigError(f"{package} is not installed", field="backend", fix=f"pip install 'gensafe[{extra}]'")
    # read once, when the libraries are imported; the last keeps progress bars out of the server's log
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "TQDM_DISABLE"):
        os.environ[name] = "1"


def checked(options: Mapping[str, str], defaults: Mapping[str, str], backend: str) -> dict[str, str]:
    """The options with their defaults.

    Raises:
        ConfigError: one is not known, or ``dtype`` is none of ``DTYPES``.
    """
    unknown = sorted(set(options) - set(defaults))
    if unknown:
        raise ConfigError(f"unknown option of {backend}: {unknown[0]}", field=unknown[0], fix=", ".join(defaults))
    values = {**defaults, **options}
    if values.get("dtype", DTYPES[0]) not in DTYPES:
        raise ConfigError(f"must be one of {', '.join(DTYPES)}", field="dtype")
    return values


def number(values: Mapping[str, str], name: str, least: int, most: int) -> int:
    """An option that is a whole number.

    Raises:
        ConfigError: it is not one, or not from ``least`` to ``most``.
    """
    text = values[name]
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ConfigError(f"is not a number from {least} to {most}", field=name)
    return int(text)
