"""A server that cannot be asked says nothing about a file: it was reported as UNREADABLE, exit 3."""

import json
import socket
import xml.etree.ElementTree as ElementTree

import pytest

from gensafe.cli import main


@pytest.fixture
def closed():
    """An address on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_no_verdict_in_any_form(closed, tmp_path, capsys):
    file, suite = tmp_path / "a.txt", tmp_path / "junit.xml"
    file.write_text("some text")
    assert main(["verify", str(file), "--server", closed, "--junit", str(suite)]) == 69
    assert f"could not ask {closed}" in capsys.readouterr().out
    counts = ElementTree.parse(suite).getroot()
    assert (counts.get("failures"), counts.get("errors")) == ("0", "1")
    assert main(["verify", str(file), "--server", closed, "--json"]) == 69
    (answer,) = json.loads(capsys.readouterr().out)
    assert "conclusion" not in answer and answer["exit_code"] == 69 and answer["according_to"] == closed


def test_a_client_certificate_needs_its_key_and_tls(closed, tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("some text")
    assert main(["verify", str(file), "--server", closed, "--client-cert", "c.pem"]) == 64
    assert main(["verify", str(file), "--server", closed, "--client-cert", "c.pem", "--client-key", "k.pem"]) == 64
