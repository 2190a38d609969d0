"""``gensafe keys`` and ``gensafe trust`` answer in JSON where asked, and an empty list says so."""

import json

import pytest

from gensafe.cli import main


@pytest.fixture
def data(tmp_path, capsys):
    """A data folder with development keys."""
    where = ["--data-dir", str(tmp_path / "data")]
    assert main(["keys", "init", *where]) == 0
    capsys.readouterr()
    return where


def test_every_change_of_a_key_answers_in_json(data, capsys):
    """The old code had no such option: "unrecognized arguments: --json", exit 64."""
    assert main(["keys", "rotate", "claim", "--json", *data]) == 0
    rotated = json.loads(capsys.readouterr().out)
    assert (rotated["event"], rotated["key"]["role"], rotated["log_index"] >= 0) == ("rotated", "claim", True)
    assert main(["keys", "revoke", rotated["key"]["key_id"], "--reason", "lost", "--json", *data]) == 0
    assert json.loads(capsys.readouterr().out)["key"]["state"] == "revoked"


def test_help_names_the_keys_that_list_shows(data, capsys):
    """The help said "the four separate keys", where the list shows five."""
    assert main(["keys", "list", "--json", *data]) == 0
    roles = {key["role"] for key in json.loads(capsys.readouterr().out)}
    assert main(["keys", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert len(roles) == 5 and "the five separate keys" in text
    assert [role for role in roles if role not in text.partition("encrypts")[0]] == []


def test_trust_lists(data, tmp_path, capsys):
    """Before, as read: an empty list printed nothing, one root was "1 roots", import and remove had no --json."""
    assert main(["trust", "list", *data]) == 0
    said = capsys.readouterr()
    assert (said.out, "no trust lists" in said.err) == ("", True)
    root = next((tmp_path / "data" / "keys" / "public").glob("claim-*.root.pem"))
    named = ["--kind", "signers", "--name", "acme"]
    assert main(["trust", "import", str(root), *named, "--json", *data]) == 0
    expected = {"event": "imported", "kind": "signers", "name": "acme", "holds": "1 root"}
    assert json.loads(capsys.readouterr().out) == expected
    assert main(["trust", "remove", "acme", "--kind", "signers", "--json", *data]) == 0
    assert json.loads(capsys.readouterr().out)["event"] == "removed"
