"""A store that cannot be written says why in the words of the operating system."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

FILL = """
import sys
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from gensafe.audit import AuditLog
from gensafe.core.errors import GensafeError
from gensafe.registry import Registry
folder, store = Path(sys.argv[1]), sys.argv[2]
if sys.argv[3] == "full":
    with (folder / "ballast").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
try:
    if store == "log":
        AuditLog.open(folder / "log", origin="x.test/1", key=Ed25519PrivateKey.generate())
    elif store == "registry":
        Registry.open(folder / "registry")
    else:
        Registry.open(folder.parent / "elsewhere").put_blob(b"x")
        (folder.parent / "elsewhere" / "blobs").rename(folder.parent / "old")
        (folder.parent / "elsewhere" / "blobs").symlink_to(folder)
        Registry.open(folder.parent / "elsewhere").put_blob(bytes(8192))
except GensafeError as error:
    print(error.reason, error)
"""


def in_a_small_folder(tmp_path, options: str, store: str, how: str) -> str:
    """Run FILL in a mount namespace of its own, with a small file system on the folder."""
    (tmp_path / "small").mkdir()
    mount = f'mount -t tmpfs -o size=64k none "$1" {options} && exec "$2" -c "$3" "$1" "$4" "$5"'
    arguments = [str(tmp_path / "small"), sys.executable, FILL, store, how]
    ran = subprocess.run(["unshare", "-m", "sh", "-c", mount, "sh", *arguments], capture_output=True, text=True)
    if "unshare" in ran.stderr or "mount:" in ran.stderr:
        pytest.skip(f"no mount namespace here: {ran.stderr.strip()[:100]}")
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs Linux mount namespaces")
@pytest.mark.parametrize("store", ["log", "registry", "blobs"])
def test_a_full_disk_is_named(tmp_path, store):
    """Before: "another process writes this log" for the log, "disk I/O error" for the registry."""
    said = in_a_small_folder(tmp_path, "", store, "full")
    assert "no space left on device" in said
    assert "another process" not in said
    assert said.startswith(("LOG_UNAVAILABLE", "REGISTRY_UNAVAILABLE"))


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs Linux mount namespaces")
@pytest.mark.parametrize("store", ["log", "registry", "blobs"])
def test_a_read_only_disk_is_named(tmp_path, store):
    said = in_a_small_folder(tmp_path, '&& mount -o remount,ro "$1"', store, "")
    assert "read-only file system" in said
    assert "another process" not in said
