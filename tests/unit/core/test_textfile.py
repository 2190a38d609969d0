"""Text files that a person saved: any UTF-8, never a guess, never a wait.

Seen on the code before: a TOML with a byte order mark was "not valid TOML: Invalid statement (at line 1, column 1)"; a
hash list with one lost its first line; UTF-16 was a UnicodeDecodeError; a named pipe waited without end.
"""

import os

import pytest

from gensafe.core.config import load_config
from gensafe.core.errors import ConfigError, InvalidRequest, OutputFailed
from gensafe.core.outfile import PRIVATE, write_file
from gensafe.core.textfile import read_bytes, read_secret, read_text
from gensafe.safety.policy import DEFAULT_POLICY, load_policy
from gensafe.safety.signals.hashlist import read_lists
from gensafe.safety.signals.print_lists import read_video_lists
from gensafe.server.api_keys import parse_api_keys

HASH = "0123456789abcdef" * 4
READERS = {
    "config": (load_config, 'provider = "Caf\u00e9"\n'),
    "policy": (load_policy, DEFAULT_POLICY.read_text("utf-8") + "# caf\u00e9\n"),
    "api keys": (
        lambda path: parse_api_keys(read_bytes(path, "x", largest=9999)),
        f"sha256:{HASH} tenant # caf\u00e9\n",
    ),
    "hash list": (lambda path: read_lists(str(path)), f"{HASH} # caf\u00e9\n{HASH[::-1]}\n"),
    "clips": (
        lambda path: read_video_lists(str(path)),
        f'{{"type": "HASH_VPDQ", "id": "caf\u00e9", "indicator": "{HASH}"}}\n',
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_every_file_of_text_is_read_the_same_way(name, tmp_path):
    read, text = READERS[name]
    path = tmp_path / "file"
    path.write_text(text, "utf-8", newline="")
    plain = read(path)
    for data in (
        b"\xef\xbb\xbf" + text.encode(),
        text.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
    ):
        path.write_bytes(data)
        assert repr(read(path)).replace("\\r", "") == repr(plain)
    for encoding, said in (
        ("utf-16", "is UTF-16"),
        ("utf-16-le", "is UTF-16"),
        ("utf-16-be", "is UTF-16"),
        ("utf-32", "is UTF-32"),
        ("cp1252", "is not UTF-8"),
    ):
        path.write_bytes(text.encode(encoding))
        with pytest.raises(ConfigError, match=said) as caught:
            read(path)
        assert "save it as UTF-8" in str(caught.value) and caught.value.field
    for bad, said in ((tmp_path, "it is a folder"), (tmp_path / "no", "No such file"), (pipe(tmp_path), "pipe")):
        with pytest.raises(ConfigError, match=said):
            read(bad)


def pipe(folder):
    path = folder / "pipe"
    if not path.exists():
        os.mkfifo(path)
    return path


def test_bounds_are_checked_before_reading(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigError, match="1099511627776 bytes"):
        read_text(path, "x")
    path.write_bytes(b"12345")
    assert read_bytes(path, "x", largest=5) == b"12345"
    with pytest.raises(InvalidRequest, match="5 bytes, and 4 are allowed"):
        read_bytes(path, "x", largest=4, error=InvalidRequest)
    with pytest.raises(ConfigError, match="no such file"):
        read_text("a\0b", "x")


def test_a_key_file_is_one_line(tmp_path):
    path = tmp_path / "key"
    for data in (b"sk-123", b"sk-123\n", b"\xef\xbb\xbfsk-123\r\n", b"  sk-123  "):
        path.write_bytes(data)
        assert read_secret(path, "key_file") == "sk-123"
    for data in (b"", b"\n", b"sk-123\nX-Header: 1", "sk-\u00e9".encode()):
        path.write_bytes(data)
        with pytest.raises(ConfigError, match="key file") as caught:
            read_secret(path, "key_file")
        assert "sk-" not in str(caught.value)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / ("n" * 250)
    write_file(path, b"1", "OUT")
    write_file(path, b"2", "OUT", mode=PRIVATE)
    assert path.read_bytes() == b"2" and path.stat().st_mode & 0o777 == 0o600
    link = tmp_path / "link"
    link.symlink_to(path)
    write_file(link, b"3", "OUT")
    assert link.is_symlink() and path.read_bytes() == b"3"
    for bad in (tmp_path / "no" / "x", tmp_path, path / "x", tmp_path / ("n" * 256), tmp_path / "a\0b"):
        with pytest.raises(OutputFailed, match="cannot write"):
            write_file(bad, b"4", "OUT")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, "link"])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_device_is_said():
    with pytest.raises(OutputFailed, match="No space left"):
        write_file("/dev/full", b"x" * 100_000, "OUT")
    write_file("/dev/null", b"x", "OUT")
