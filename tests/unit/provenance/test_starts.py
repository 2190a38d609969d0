"""Files that begin as players accept it and the C2PA library does not: no manifest is none, an intact one is intact.

Seen before the mend, on the command line: an MP4 like these was ALTERED, exit 1, "the manifest cannot be read: expected
box type ftyp".
"""

import pytest

from gensafe.core.errors import ManifestInvalid
from gensafe.provenance import ManifestState, containers, read_asset

STARTS = (b"free", b"skip", b"wide", b"pnot", b"styp")


def box(kind, content=b""):
    return (8 + len(content)).to_bytes(4, "big") + kind + content


@pytest.mark.parametrize("kind", STARTS)
@pytest.mark.parametrize("content", [b"", b"\0" * 8, b"padding " * 5])
def test_a_box_before_ftyp_is_no_manifest(kind, content, bench, files):
    plain = files["video/mp4"]
    assert read_asset(plain, "video/mp4", trust=bench.trust) is None
    assert read_asset(box(kind, content) + plain, "video/mp4", trust=bench.trust) is None


def test_a_film_without_ftyp_has_no_manifest(bench, files):
    plain = files["video/mp4"]
    assert plain[4:8] == b"ftyp"
    assert read_asset(plain[int.from_bytes(plain[:4], "big") :], "video/quicktime", trust=bench.trust) is None


@pytest.fixture(scope="module")
def signed_behind_a_box(bench, files):
    """An MP4 with a box before ``ftyp`` that its signer left out of the hash, as C2PA leaves ``ftyp`` out."""
    data, _ = bench.sign(box(b"ftyp", b"isom\0\0\2\0") + files["video/mp4"], "video/mp4")
    return data


@pytest.mark.parametrize("kind", STARTS)
def test_an_intact_manifest_behind_a_box_is_intact(kind, signed_behind_a_box, bench):
    data = signed_behind_a_box[:4] + kind + signed_behind_a_box[8:]
    assert read_asset(data, "video/mp4", trust=bench.trust).state is ManifestState.TRUSTED
    assert containers.extract(data)


@pytest.mark.parametrize("kind", STARTS)
def test_a_box_put_before_a_signed_film_is_seen(kind, signed, bench):
    """The signature covers the place of every box."""
    data, _ = signed["video/mp4"]
    reading = read_asset(box(kind, b"\0" * 8) + data, "video/mp4", trust=bench.trust)
    assert reading.state is ManifestState.INVALID


def test_a_box_that_carries_media_is_not_renamed(signed_behind_a_box, bench):
    data = signed_behind_a_box[:4] + b"mdat" + signed_behind_a_box[8:]
    with pytest.raises(ManifestInvalid):
        read_asset(data, "video/mp4", trust=bench.trust)
