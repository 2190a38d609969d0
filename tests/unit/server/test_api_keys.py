"""API keys: what a file may say, and that a change of the file counts at once.

The review saw on commit ed72f70, which read the file once, that a removed key answered until the server was started
again. Digests with other characters than hex digits were accepted, and one outside ASCII made every call fail with a
TypeError.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import pytest

from gensafe.core.errors import ConfigError, Unauthenticated
from gensafe.server.api_keys import ApiKeys, key_identity, parse_api_keys
from gensafe.server.identity import LOCAL, ROLES, caller, establish_caller


def line(key: str, *rest: str) -> str:
    return " ".join([f"sha256:{hashlib.sha256(key.encode()).hexdigest()}", *rest]) + "\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.txt"
    path.write_text("# callers\n\n" + line("alpha", "acme") + line("beta", "bravo", "verify,audit # one more"))
    return path


def tenant(keys: ApiKeys, key: str) -> str:
    identity = keys.identify(key)
    return identity.tenant if identity else ""


def test_a_key_names_its_tenant_and_roles(file: Path):
    keys = ApiKeys(file)
    assert keys.identify("alpha").roles == ROLES  # type: ignore[union-attr]
    assert keys.identify("beta").roles == {"verify", "audit"}  # type: ignore[union-attr]
    assert keys.identify("gamma") is None
    assert keys.identify("") is None
    assert keys.identify("\udcff") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("alpha acme", "line 1 is not"),
        ("sha256:" + "z" * 64 + " acme", "line 1 is not"),
        ("sha256:" + "é" * 64 + " acme", "line 1 is not"),
        (line("a", "acme") + "sha256:00 acme", "line 2 is not"),
        (line("a"), "line 1 is not"),
        (line("a", "acme", "verify", "audit"), "line 1 is not"),
        (line("a", "acme", "verify,root"), "unknown role"),
        (line("a", "acme", "verify,"), "unknown role"),
        (line("a", "ac\u202eme"), "U\\+202E"),
        (line("a", "x" * 256), "characters"),
        (line("a", "acme") + line("a", "beta"), "line 2 repeats"),
    ],
)
def test_a_wrong_line_is_named(text: str, reason: str):
    with pytest.raises(ConfigError, match=reason):
        parse_api_keys(text.encode())


def test_other_files_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="UTF-8"):
        parse_api_keys(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot read"):
        ApiKeys(tmp_path / "none")
    assert parse_api_keys(b"\xef\xbb\xbf" + line("a", "acme").encode().upper().replace(b"SHA256", b"sha256"))


def test_a_removed_key_stops_working_and_a_new_one_begins(file: Path):
    keys = ApiKeys(file)
    assert tenant(keys, "alpha") == "acme"
    before = file.stat()
    file.write_text(file.read_text().replace(line("alpha", "acme"), line("gamma", "acme")))  # the same size
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # as cp -p and git leave it
    assert [tenant(keys, key) for key in ("alpha", "beta", "gamma")] == ["", "bravo", "acme"]


def test_a_replaced_file_counts_too(file: Path):
    keys = ApiKeys(file)
    other = file.with_name("new.txt")
    other.write_text(line("gamma", "acme"))
    other.replace(file)
    assert [tenant(keys, key) for key in ("alpha", "gamma")] == ["", "acme"]
    file.write_text("")  # the last key removed: nobody gets in
    assert [tenant(keys, key) for key in ("alpha", "gamma")] == ["", ""]


@pytest.mark.parametrize("change", ["broken", "missing", "folder"])
def test_a_broken_file_leaves_the_old_keys_and_is_reported_once(
    change: str, file: Path, caplog: pytest.LogCaptureFixture
):
    keys = ApiKeys(file)
    good = file.read_text()
    file.unlink()
    if change == "broken":
        file.write_text(line("gamma", "acme") + "sha256:oops acme\n")
    elif change == "folder":
        file.mkdir()
    with caplog.at_level(logging.ERROR):
        assert [tenant(keys, key) for key in ("alpha", "beta", "gamma")] == ["acme", "bravo", ""]
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert "stay in force" in errors[0]
    if change == "folder":
        file.rmdir()
    file.write_text(line("gamma", "acme"))
    assert [tenant(keys, key) for key in ("alpha", "gamma")] == ["", "acme"]
    file.write_text(good)
    assert tenant(keys, "alpha") == "acme"


@pytest.mark.parametrize(
    "headers",
    [[""], ["Bearer"], ["Bearer "], ["bearer nope"], ["Basic YTphbHBoYQ=="], ["\xff"], [b"\xff"], ["alpha"],
     ["Bearer alpha", "Bearer alpha"], ["Bearer alpha", "Bearer nope"], ["Bearer  alpha"]],
)  # fmt: skip
def test_what_is_presented_and_wrong_is_an_error(headers: list[str | bytes], file: Path):
    with pytest.raises(Unauthenticated):
        key_identity(ApiKeys(file), headers)
    with pytest.raises(Unauthenticated, match="takes no API keys"):
        key_identity(None, headers)


def test_nothing_presented_is_nobody_and_a_right_key_is_somebody(file: Path):
    assert key_identity(ApiKeys(file), []) is None
    assert key_identity(None, []) is None
    assert key_identity(ApiKeys(file), ["bearer alpha"]).tenant == "acme"  # type: ignore[union-attr]


def test_without_an_identity_nothing_opens():
    """Before: ``caller()`` outside a call was the owner of everything (read in the code by the review)."""
    import contextvars

    def outside() -> None:
        with pytest.raises(Unauthenticated):
            caller()
        establish_caller(LOCAL)
        assert caller() is LOCAL

    contextvars.Context().run(outside)
