"""Compile ``symphony.c`` once per machine with the system's C compiler and load it with ctypes.

The library lies in the user's cache directory under a name that holds the digest of the source, the compiler and the
processor's features, so that a new version, another compiler or another machine that shares the home directory never
loads a foreign build. Nothing is compiled when this module is imported.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Final

from gensafe.core.errors import BackendUnavailable

SOURCE: Final = Path(__file__).with_name("symphony.c")
ABI: Final = 7  # of the structs in symphony.c
_BASE: Final = ("-std=gnu11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-shared", "-fPIC")
_TUNING: Final = (("-march=native",), ("-mcpu=native",), ())  # the first the compiler takes
_TIMEOUT_S: Final = 120  # seconds; generous for one file of C on a busy machine. A round number, not measured


def cache_directory() -> Path:
    """Where compiled libraries lie: ``$XDG_CACHE_HOME/gensafe`` or the platform's usual place."""
    configured = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(configured):
        return Path(configured) / "gensafe"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "gensafe"
    return Path.home() / ".cache" / "gensafe"


def find_compiler() -> str | None:
    """Path of ``cc``, ``gcc`` or ``clang`` (``CC`` first), or None."""
    candidates = (os.environ.get("CC", ""), "cc", "gcc", "clang")
    return next((found for name in candidates if name and (found := shutil.which(name))), None)


def _processor() -> str:
    """What decides which instructions may be used."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    features = sorted({x for x in lines if x.startswith(("flags", "Features", "model name", "CPU part"))})
    return "\n".join([platform.system(), platform.machine(), platform.processor(), *features])


@lru_cache(maxsize=1)
def load_library() -> ctypes.CDLL:
    """The compiled engine, built on first use.

    Raises:
        BackendUnavailable: no compiler, it failed, or the cache directory is not usable.
    """
    compiler = find_compiler()
    if compiler is None:
        raise BackendUnavailable("no C compiler was found for the native engine", fix="install gcc or clang")
    try:
        source = SOURCE.read_bytes()
        target = _private(cache_directory() / "native") / f"symphony-{_key(source, compiler)}.so"
        if not target.exists():
            _compile(compiler, target)
        library = ctypes.CDLL(str(target))
        if library.symphony_abi() != ABI:
            raise BackendUnavailable("the native engine's library is of another version")
    except (OSError, AttributeError) as error:
        raise BackendUnavailable(f"the native engine could not be loaded: {error}") from error
    library.symphony_work.restype = ctypes.c_int64
    library.symphony_work.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    library.symphony_forward.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.symphony_pack.restype = None
    library.symphony_pack.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
    return library


def _key(source: bytes, compiler: str) -> str:
    found = os.stat(compiler)
    identity = f"{compiler}\n{found.st_size}\n{found.st_mtime_ns}\n{_processor()}\n{_BASE}".encode()
    return hashlib.sha256(source + b"\0" + identity).hexdigest()[:32]


def _private(directory: Path) -> Path:
    """The directory, made if need be; refused when others could put a library there."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    info = directory.stat()
    if info.st_uid != os.getuid() or info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise BackendUnavailable(f"{directory} can be written by others", fix="chmod go-w it")
    return directory


def _compile(compiler: str, target: Path) -> None:
    """Compile into a temporary file and rename: two processes at once do no harm."""
    report = ""
    for tuning in _TUNING:
        handle, name = tempfile.mkstemp(suffix=".so", dir=target.parent)
        os.close(handle)
        command = [compiler, *_BASE, *tuning, "-o", name, str(SOURCE), "-lm"]
        try:
            done = subprocess.run(  # noqa: S603 - fixed arguments, no shell, a compiler the user installed
                command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
            if done.returncode == 0:
                os.chmod(name, 0o700)
                os.replace(name, target)
                return
            report = done.stderr.strip().splitlines()[0] if done.stderr.strip() else f"exit {done.returncode}"
        except subprocess.TimeoutExpired:
            report = f"no answer within {_TIMEOUT_S} s"
        finally:
            Path(name).unlink(missing_ok=True)
    raise BackendUnavailable(f"the C compiler could not build the native engine: {report}")
