"""The completion scripts in the shells themselves: commands, options and choices are offered, and only those."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from gensafe.cli import COMMANDS, main


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The script for bash, in a file."""
    path = tmp_path_factory.mktemp("completion") / "gensafe.bash"
    with path.open("w") as out, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", out)
        assert main(["completion", "bash"]) == 0
    return path


def offered(script, line: str) -> set[str]:
    """What bash offers for the last word of a line."""
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    state = f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}"
    asked = f"source {script}; {state}; _shtab_gensafe; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_every_command_is_offered(script):
    assert set(COMMANDS) <= offered(script, "gensafe ")
    assert offered(script, "gensafe ver") == {"verify"}


def test_options_verbs_and_choices_are_offered(script):
    assert {"--data-dir", "--server"} <= offered(script, "gensafe verify --")
    assert {"list", "show", "release", "reject"} <= offered(script, "gensafe review ")
    assert offered(script, "gensafe generate --modality v") == {"video"}


def test_a_file_argument_completes_to_files(script, tmp_path, monkeypatch):
    (tmp_path / "picture.png").touch()
    monkeypatch.chdir(tmp_path)
    assert offered(script, "gensafe verify pic") == {"picture.png"}


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
def test_the_zsh_script_parses(tmp_path, capsys):
    assert main(["completion", "zsh"]) == 0
    (tmp_path / "_gensafe").write_text(capsys.readouterr().out)
    subprocess.run(["zsh", "-n", str(tmp_path / "_gensafe")], check=True)
