"""One opener of an installation: no other module opens its stores, and verifying offline needs no pipeline."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gensafe.core.config import Config
from gensafe.core.errors import KeyError_
from gensafe.installation import PASSPHRASE_VARIABLE, Installation

ROOT = Path(__file__).parents[2]
OPENS = re.compile(r"\b(KeyRing|Registry|AuditLog)\.open(_readonly)?\(")


def test_no_other_module_opens_a_store_of_an_installation():
    """Seen before: 26 calls in eight modules, each with its own path, passphrase and rule of what may be missing."""
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sorted((ROOT / "gensafe").rglob("*.py"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if OPENS.search(line) and path.name != "installation.py" and "``" not in line
    ]
    assert found == []


def test_verifying_offline_imports_no_pipeline(tmp_path):
    """Seen before: ``gensafe verify`` imported gensafe.pipeline for the passphrase and a tokenizer."""
    (tmp_path / "a.txt").write_text("nobody made this")
    program = (
        "import sys, gensafe.cli.verify; from gensafe.cli import main\n"
        f"status = main(['verify', {str(tmp_path / 'a.txt')!r}, '--data-dir', {str(tmp_path)!r}])\n"
        "loaded = [name for name in sys.modules if name.startswith('gensafe.pipeline')]\n"
        "print(status, loaded)"
    )
    Installation(Config(data_dir=str(tmp_path))).open_keys()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["2 []"], done.stderr


def test_what_is_missing_is_not_made_by_reading(tmp_path):
    home = Installation(Config(data_dir=str(tmp_path / "data")))
    with pytest.raises(KeyError_):
        home.read_keys()
    assert home.keys_if_readable() is None
    assert home.writer_if_free(None) is None
    assert not home.has_keys and not home.has_log and not home.has_registry
    assert not (tmp_path / "data").exists()


def test_what_was_made_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "correct horse battery")
    home = Installation(Config(data_dir=str(tmp_path / "data")))
    keys = home.open_keys()
    home.open_registry(keys).close()
    home.open_log(keys).close()
    assert home.has_keys and home.has_log and home.has_registry
    assert home.read_keys().origin == keys.origin
    with home.read_log() as log, home.open_registry(keys, readonly=True) as registry:
        assert log.origin == keys.origin
        assert registry.newest_index() < log.size or log.size == 0
    assert keys.sealed  # the passphrase was taken from the environment


def test_a_log_in_use_has_no_second_writer(tmp_path):
    home = Installation(Config(data_dir=str(tmp_path)))
    keys = home.open_keys()
    with home.open_log(keys):
        assert home.writer_if_free(keys) is None
    free = home.writer_if_free(keys)
    assert free is not None
    free.close()
