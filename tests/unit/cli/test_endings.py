"""Every command ends with a code that says what happened: an answer only where one was reached, whatever the streams.

Seen on the code before: ``verify`` of a marked file under cp1252 ended with a UnicodeEncodeError traceback and 1
("altered"); ``--help >/dev/full`` and ``plugins >&-`` with 0; ``plugins >/dev/full`` with a traceback and 1;
``generate`` with a broken byte in the prompt with a traceback and 1; ``python -m gensafe`` did not exist.
"""

import argparse
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gensafe.cli import COMMANDS, main
from gensafe.cli.common import Exit, Parser, names_a_file
from gensafe.cli.ending import ANSWERS, code_of, guarded
from gensafe.core import errors

LINUX = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def parsers():
    """(words, parser) of every command and sub-command."""
    import importlib

    top = Parser(prog="gensafe")
    commands = top.add_subparsers(dest="command")
    for name in COMMANDS:
        importlib.import_module(f"gensafe.cli.{name}").add_parser(commands)
    found = []

    def walk(parser, words):
        found.append((words, parser))
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, each in action.choices.items():
                    walk(each, [*words, name])

    walk(top, [])
    return found


ALL = parsers()


def gensafe(*arguments, module="gensafe", **options):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "GENSAFE_"))} | options.pop("env", {})
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], env=env, stdin=subprocess.DEVNULL, timeout=120, **options
    )


def shell(line, tmp_path, **env):
    """Run ``line`` with bash; returns (status of gensafe, what came on standard error)."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "GENSAFE_"))} | env
    line = line.replace("gensafe", f"{sys.executable} -m gensafe", 1)
    done = subprocess.run(["bash", "-c", line], capture_output=True, cwd=tmp_path, env=env, timeout=120)
    return done.returncode, done.stderr.decode()


VALUES = {"EPOCH": "0", "DATE": "2026-12-02"}  # what a required argument is given where "x" is no value of its kind


@pytest.mark.parametrize("words", [w for w, _ in ALL], ids=lambda w: "-".join(w) or "top")
def test_help_is_printable_and_an_unknown_flag_shows_this_commands_usage(words, capsys):
    """Seen before: the usage of the top level for every wrong flag."""
    assert main([*words, "--help"]) == 0
    assert capsys.readouterr().out.startswith(" ".join(["usage: gensafe", *words]))
    parser = dict((tuple(w), p) for w, p in ALL)[tuple(words)]
    needed = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            pytest.skip("its sub-commands are tried")
        if action.required and not action.option_strings:
            needed.append(next(iter(action.choices)) if action.choices else VALUES.get(action.metavar, "x"))
        elif action.required:
            needed += [action.option_strings[0], next(iter(action.choices)) if action.choices else "x"]
    group = parser._mutually_exclusive_groups
    if group and group[0].required:
        needed.append("x")
    assert main([*words, *needed, "--no-such-flag"]) == Exit.USAGE
    said = capsys.readouterr().err
    assert said.startswith(" ".join(["usage: gensafe", *words])) and "--no-such-flag" in said.splitlines()[-1]


ODD = "a\udcff"


@pytest.mark.parametrize("words", [w for w, _ in ALL if w], ids=lambda w: "-".join(w))
def test_an_argument_of_text_with_broken_bytes_is_refused_and_a_path_is_not(words):
    """All actions of all commands, those of others' commands too: each is a path by its metavar, or text."""
    parser = dict((tuple(w), p) for w, p in ALL)[tuple(words)]
    for action in parser._actions:
        if action.nargs == 0 or action.choices or isinstance(action, argparse._SubParsersAction):
            continue
        if names_a_file(action):
            parser._get_value(action, ODD)
            if action.default != "":  # there it means: not given
                with pytest.raises(argparse.ArgumentError, match="is empty"):
                    parser._get_value(action, "")
        else:
            with pytest.raises(argparse.ArgumentError, match=r"UTF-8|invalid"):
                parser._get_value(action, ODD)


PATH_LIKE = {"file", "files", "directory", "out", "output", "input", "config", "data_dir", "policy", "picture", "ca",
             "sidecar", "junit", "trust_anchors", "key", "chain", "root",
             "log_key", "previous", "texts", "weights"}  # fmt: skip


def test_arguments_that_name_files_say_so():
    """A guard for new options: one with a file's name and the metavar of a text would refuse odd file names."""
    for words, parser in ALL:
        for action in parser._actions:
            if action.dest in PATH_LIKE:
                assert names_a_file(action), (words, action.dest, action.metavar)


@LINUX
def test_a_prompt_with_broken_bytes_is_a_usage_error(tmp_path):
    status, said = shell("gensafe generate $'a \\xff cat' --modality image -o x.png --data-dir d", tmp_path)
    assert status == 64 and "not valid UTF-8" in said and "Traceback" not in said


@LINUX
def test_file_names_with_odd_bytes_work(tmp_path):
    name = os.fsencode(tmp_path) + b"/a\xff\x1b.txt"
    Path(os.fsdecode(name)).write_bytes(b"just a text of no particular meaning")
    for env in ({}, {"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}, {"PYTHONIOENCODING": "cp932"}):
        done = gensafe("verify", name, capture_output=True, env=env, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert b"\x1b" not in done.stdout + done.stderr and b"Traceback" not in done.stderr


@LINUX
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1:strict", "cp932"])
def test_no_encoding_of_the_terminal_changes_an_answer(tmp_path, encoding):
    file = tmp_path / "\u2264 \U0001f600 \u0416.txt"
    file.write_text("\u2264 a text of no meaning", "utf-8")
    for line in ("verify", "verify --json"):
        done = gensafe(*line.split(), str(file), capture_output=True, cwd=tmp_path, env={"PYTHONIOENCODING": encoding})
        assert done.returncode == 2, done.stderr
        assert b"Traceback" not in done.stderr and b".txt" in done.stdout


@LINUX
@pytest.mark.parametrize("line", ["--help", "verify --help", "--version", "plugins", "plugins --json", "verify x.txt"])
@pytest.mark.parametrize("buffered", ["", "1"])
def test_output_that_cannot_be_written_is_74(tmp_path, line, buffered):
    (tmp_path / "x.txt").write_text("a text of no meaning")
    status, said = shell(f"gensafe {line} >/dev/full", tmp_path, PYTHONUNBUFFERED=buffered)
    assert (status, said.count("\n")) == (74, 1 if "verify x" not in line else said.count("\n")), said
    assert said.endswith("gensafe: No space left on device\n")
    status, said = shell(f"gensafe {line} | head -c0; exit ${{PIPESTATUS[0]}}", tmp_path, PYTHONUNBUFFERED=buffered)
    assert "Exception ignored" not in said and "BrokenPipe" not in said and status in (74, 0, 2)  # the pipe may be read
    status, said = shell(f"gensafe {line} >&-", tmp_path, PYTHONUNBUFFERED=buffered)
    assert status == 74 and "closed" in said.splitlines()[-1], said


@LINUX
def test_a_pipe_that_nobody_reads_ends_quietly_with_74(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    done = gensafe("plugins", stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (74, b"")


@LINUX
@pytest.mark.parametrize("end", ["2>&-", "2>/dev/full"])
def test_a_standard_error_that_is_closed_or_full_changes_nothing(tmp_path, end):
    """Seen before: notes went to standard output, into what a program reads."""
    (tmp_path / "x.txt").write_text("a text of no meaning")
    for line, wanted in (("verify x.txt --json", 2), ("verify --nope", 64), ("classify nowhere.png", 3)):
        line = f"{sys.executable} -m gensafe {line} {end}"
        done = subprocess.run(["bash", "-c", line], stdout=subprocess.PIPE, cwd=tmp_path, timeout=120)
        assert done.returncode == wanted
        assert b"no data directory" not in done.stdout


@pytest.mark.parametrize("module", ["gensafe", "gensafe.cli"])
def test_the_package_runs(module):
    done = gensafe("--version", module=module, capture_output=True)
    assert done.returncode == 0 and done.stdout.startswith(b"gensafe ")


def stop(error):
    def run():
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ValueError("a\nb"), 70, "gensafe: internal fault: ValueError: a b (set GENSAFE_DEBUG=1 for the traceback)\n"),
        (RecursionError(), 70, "gensafe: internal fault: RecursionError (set GENSAFE_DEBUG=1 for the traceback)\n"),
        (MemoryError(), 70, None),
        (UnicodeEncodeError("ascii", "\u2264", 0, 1, "no"), 70, None),
        (SystemExit(3), 70, None),
        (SystemExit(1), 70, None),
        (SystemExit("text"), 70, None),
        (SystemExit(), 70, None),
        (GeneratorExit(), 70, None),
        (KeyboardInterrupt(), 130, ""),
        (OSError(errno.ENOSPC, "No space left on device"), 74, "gensafe: No space left on device\n"),
        (FileNotFoundError(errno.ENOENT, "No such file", "no/x"), 74, "gensafe: no/x: No such file\n"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 74, ""),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), 69, "gensafe: refused\n"),
        (TimeoutError("slow"), 69, None),
        (errors.ConfigError("x"), 64, "gensafe: x\n"),
        (errors.OutputFailed("full"), 74, "gensafe: full\n"),
    ],
)
def test_whatever_a_command_raises_is_one_line_and_never_an_answer(error, code, said, capsys):
    assert guarded(stop(error), "verify x.png") == code
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == (0 if said == "" else 1)
    assert said is None or printed.err == said


def test_no_error_of_ours_is_an_answer_where_one_is_an_answer():
    def kinds(kind):
        return {kind}.union(*(kinds(each) for each in kind.__subclasses__()))

    made = {kind: kind.__new__(kind) for kind in kinds(errors.GensafeError) if kind.__module__ == errors.__name__}
    assert len(made) > 30
    for kind, error in made.items():
        for command in ANSWERS:
            code = code_of(error, f"{command} more")
            assert code >= 64 or (code, kind) in [(3, kind)] * issubclass(kind, errors.MediaError) + [
                (2, errors.SafetyBlocked)
            ], (command, kind, code)


def test_debug_shows_the_traceback(monkeypatch, capsys):
    monkeypatch.setenv("GENSAFE_DEBUG", "1")
    assert guarded(stop(ValueError("x"))) == 70
    assert "Traceback" in capsys.readouterr().err
