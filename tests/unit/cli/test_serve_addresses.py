"""An address that cannot be had is one line and exit 64, before anything is loaded. Real sockets, the real command."""

import socket
import subprocess
import sys

import pytest


def serve(tmp_path, *arguments):
    command = [sys.executable, "-m", "gensafe.cli", "serve", "--data-dir", str(tmp_path / "data"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("option", ["--listen", "--http"])
def test_taken_port(tmp_path, taken, option):
    """For --http this was a traceback of 40 lines and exit 3, after the models had been loaded and the log written."""
    addresses = {"--listen": "127.0.0.1:0", option: taken}
    done = serve(tmp_path, *[word for pair in addresses.items() for word in pair])
    assert done.returncode == 64
    assert "taken" in done.stderr and f"server.{option[2:]}" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("option", ["--listen", "--http"])
@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "no-such-host.invalid:0", "127.0.0.1:99999", "0:0"])
def test_unsafe_and_malformed_addresses(tmp_path, option, address):
    done = serve(tmp_path, option, address)
    assert done.returncode == 64
    assert f"server.{option[2:]}" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
