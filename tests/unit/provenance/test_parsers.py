"""CBOR, COSE, JUMBF and container readers on good, damaged and random bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gensafe.core.errors import ManifestInvalid, SigningFailed
from gensafe.provenance import cbor, containers, jumbf
from gensafe.provenance.cose import parse_cose


@pytest.fixture(scope="module")
def store(signed):
    return signed["image/png"][1].data


def cose_bytes(store):
    box = jumbf.signature_path(store)[-1]
    return store[box.content : box.end]


@pytest.mark.parametrize(
    "media_type", ["image/png", "image/jpeg", "image/webp", "audio/wav", "audio/mpeg", "audio/flac", "video/mp4"]
)
def test_store_is_found_in_every_container(media_type, signed, files):
    data, manifest = signed[media_type]
    assert containers.extract(data) == manifest.data
    assert containers.locate(files[media_type]) == ()
    assert containers.overwrite(data, manifest.data) == data


def test_store_split_over_jpeg_segments(signed, files, bench):
    """More than 64 KB of manifest needs several APP11 segments."""
    from gensafe.provenance import InputFact, ManifestState, read_asset

    big = signed["image/png"][0]
    for i in range(5):
        big, _ = bench.sign(files["image/png"], "image/png", inputs=(InputFact(f"step {i}", "image/png", "x", big),))
    data, manifest = bench.sign(files["image/jpeg"], "image/jpeg", inputs=(InputFact("chain", "image/png", "x", big),))
    assert len(manifest.data) > 70_000
    assert len(containers.locate(data)) > 1
    reading = read_asset(data, "image/jpeg", trust=bench.trust)
    assert reading.state is ManifestState.TRUSTED and reading.time_stamp.trusted
    assert reading.manifest_digest == manifest.digest


def test_overwrite_needs_the_same_length(signed):
    data, manifest = signed["image/png"]
    with pytest.raises(ManifestInvalid):
        containers.overwrite(data, manifest.data + b"\0")
    with pytest.raises(ManifestInvalid):
        containers.overwrite(b"nothing", b"")


def test_cose_round_trip(store):
    raw = cose_bytes(store)
    cose = parse_cose(raw)
    assert cose.encode() == raw
    assert len(cose.certificates()) == 2
    assert len(cose.time_stamps()) == 1


def test_stamping_keeps_the_size_or_says_why(store):
    raw = cose_bytes(store)
    cose = parse_cose(raw)
    for size in (10, 100, 300, 5000):
        assert len(cose.stamped(bytes(size), len(raw))) == len(raw)
    with pytest.raises(SigningFailed, match="do not fit"):
        cose.stamped(bytes(20_000), len(raw))


def test_resizing_mends_the_box_lengths(store):
    smaller = jumbf.replace_signature(store, parse_cose(cose_bytes(store)).with_padding(5).encode())
    assert len(smaller) < len(store)
    assert int.from_bytes(smaller[:4], "big") == len(smaller)
    assert parse_cose(cose_bytes(smaller)).signature == parse_cose(cose_bytes(store)).signature


@given(st.binary(max_size=200))
def test_random_bytes_raise_only_our_error(data):
    for parse in (parse_cose, jumbf.manifests, jumbf.signature_path):
        with pytest.raises(ManifestInvalid):
            parse(data)


@given(data=st.data())
def test_damaged_stores_raise_only_our_error(data, store):
    at = data.draw(st.integers(0, len(store) - 1))
    damaged = bytearray(store)
    damaged[at] ^= data.draw(st.integers(1, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(store)))])
    for candidate in (bytes(damaged), cut):
        try:
            cose = parse_cose(cose_bytes(candidate))
            cose.certificates()
            cose.time_stamps()
        except ManifestInvalid:
            pass


@given(
    data=st.data(),
    prefix=st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xeb", b"RIFF", b"ID3\x04\x00", b"\0\0\0\x10ftyp"]),
)
def test_random_containers_never_crash(data, prefix):
    containers.locate(prefix + data.draw(st.binary(max_size=200)))


@given(data=st.data(), media_type=st.sampled_from(["image/png", "image/jpeg", "image/webp", "audio/mpeg", "video/mp4"]))
def test_damaged_containers_never_crash(data, media_type, signed):
    raw = bytearray(signed[media_type][0])
    for _ in range(3):
        raw[data.draw(st.integers(0, min(len(raw), 3000) - 1))] = data.draw(st.integers(0, 255))
    for start, end in containers.locate(bytes(raw)):
        assert 0 <= start <= end <= len(raw)


def test_cbor_heads():
    for value in (0, 23, 24, 255, 256, 65535, 65536, 2**32):
        encoded = cbor.encode_head(cbor.UINT, value)
        assert cbor.head(encoded, 0) == (cbor.UINT, value, len(encoded))
    deep = b"\x81" * 100 + b"\0"
    with pytest.raises(ManifestInvalid, match="deep"):
        cbor.skip(deep, 0)
    with pytest.raises(ManifestInvalid):
        cbor.skip(b"\x5f", 0)
