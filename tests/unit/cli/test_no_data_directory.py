"""A data directory that does not exist: one answer of every command that works on one, and nothing is made there.

Seen before: five different sentences, among them "there is no registry in 'registry'", and a new installation made by
`privacy erase` and `keys api revoke`.
"""

import pytest

from gensafe.cli import main
from gensafe.cli.common import Exit

COMMANDS = [
    "usage",
    "keys list",
    "keys rotate checkpoint",
    "keys revoke K --reason x",
    "keys disclose 0 --yes",
    "keys api list",
    "keys api show K",
    "keys api rotate K --reason x",
    "keys api revoke K --reason x",
    "audit export -o OUT",
    "audit fsck",
    "audit checkpoint",
    "audit reconcile --count 1",
    "audit report --regime eu-ai-act -o OUT.json",
    "review list",
    "privacy holds",
    "privacy erase --tenant t",
    "privacy hold H --scope all",
    "misuse report 38a845bd0ca1b --category other --reason x",
    "verify FILE",
]


@pytest.mark.parametrize("words", COMMANDS)
def test_what_is_no_data_directory_is_said(words, tmp_path, capsys):
    missing, file = tmp_path / "missing", tmp_path / "a.txt"
    file.write_text("a text")
    line = words.replace("OUT", str(tmp_path / "out")).replace("FILE", str(file))
    code = main([*line.split(), "--data-dir", str(missing)])
    assert "--data-dir" in (said := capsys.readouterr().err) and "is not a GenSafe data directory" in said, said
    assert code == Exit.USAGE and not missing.exists()
