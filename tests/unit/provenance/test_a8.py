"""The text wrapper: strict in what it reads, exact in what it writes."""

import hashlib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gensafe.core.errors import SigningFailed
from gensafe.provenance import ManifestState, TextWrapperInvalid, parse_a8, read_asset, strip_a8, wrap_a8

STORE = bytes(range(256)) * 2


def test_round_trip():
    wrapper = parse_a8("hello" + wrap_a8(STORE))
    assert wrapper.visible == "hello" and wrapper.store == STORE
    assert wrapper.start == 5 and wrapper.length == len(wrap_a8(STORE).encode())


@given(st.binary(min_size=8, max_size=300), st.text(max_size=50))
def test_round_trip_of_any_bytes_behind_any_text(store, text):
    text = strip_a8(text)
    wrapper = parse_a8(text + wrap_a8(store))
    assert wrapper.store == store
    assert wrapper.visible == unicodedata.normalize("NFC", text)
    assert strip_a8(text + wrap_a8(store)) == unicodedata.normalize("NFC", text)


@given(st.text(max_size=80))
def test_ordinary_text_has_no_wrapper_and_never_crashes(text):
    assert parse_a8(text) is None


@given(st.lists(st.sampled_from(["\ufeff", "\ufe00", "\ufe0f", "\U000e0100", "\U000e01ef", "a", "é"]), max_size=60))
def test_selector_noise_never_crashes(parts):
    try:
        parse_a8("".join(parts))
    except TextWrapperInvalid:
        pass


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a" + wrap_a8(STORE) + wrap_a8(STORE), "manifest.text.multipleWrappers"),
        (wrap_a8(STORE) + "a" + wrap_a8(STORE), "manifest.text.multipleWrappers"),
        (wrap_a8(STORE) + "after", "manifest.text.corruptedWrapper"),
        ("a" + wrap_a8(STORE)[:-1], "manifest.text.corruptedWrapper"),
        ("a" + wrap_a8(STORE) + "\ufe00", "manifest.text.corruptedWrapper"),
        ("a" + wrap_a8(STORE)[:10], "manifest.text.corruptedWrapper"),
        ("a" + wrap_a8(STORE).replace("\ufe01", "\ufe02", 1), "manifest.text.corruptedWrapper"),
        ("a" + wrap_a8(b""), "manifest.text.corruptedWrapper"),
    ],
)
def test_malformed_wrappers_are_refused(text, code):
    with pytest.raises(TextWrapperInvalid) as caught:
        parse_a8(text)
    assert caught.value.code == code


def test_malformed_wrapper_reads_as_invalid_with_its_code(signed, bench):
    data, _ = signed["text/plain"]
    for damaged, code in (
        (data + data[data.index("\ufeff".encode()) :], "manifest.text.multipleWrappers"),
        (data + b"PS", "manifest.text.corruptedWrapper"),
    ):
        reading = read_asset(damaged, "text/plain", trust=bench.trust)
        assert reading.state is ManifestState.INVALID
        assert reading.failure_codes() == (code,)


def test_edited_text_is_invalid(signed, bench):
    text = signed["text/plain"][0].decode()
    for edited in (text.replace("roter", "blauer"), "x" + text, text[1:], text.replace("\n", "\n\n", 1)):
        reading = read_asset(edited.encode(), "text/plain", trust=bench.trust)
        assert reading.state is ManifestState.INVALID
        assert "assertion.dataHash.mismatch" in reading.failure_codes()


def test_decomposed_text_still_verifies(bench):
    """Some programs store text decomposed (NFD); the hash is over NFC."""
    data, _ = bench.sign("un été à Zürich\n".encode(), "text/plain")
    decomposed = unicodedata.normalize("NFD", data.decode()).encode()
    assert decomposed != data
    assert read_asset(decomposed, "text/plain", trust=bench.trust).state is ManifestState.TRUSTED


def test_stripped_text_with_its_sidecar_verifies(signed, bench, samples):
    data, manifest = signed["text/plain"]
    visible = strip_a8(data.decode())
    assert visible == samples.TEXT
    reading = read_asset(visible.encode(), "text/plain", sidecar=manifest.data, trust=bench.trust)
    assert reading.state is ManifestState.TRUSTED
    other = visible.replace("roter", "rother").encode()
    assert read_asset(other, "text/plain", sidecar=manifest.data, trust=bench.trust).state is ManifestState.INVALID


def test_moved_wrapper_is_invalid(signed, bench, samples):
    wrapper = signed["text/plain"][0][len(samples.TEXT.encode()) :]
    reading = read_asset(b"Some other text of another length" + wrapper, "text/plain", trust=bench.trust)
    assert reading.state is ManifestState.INVALID


@pytest.mark.parametrize(
    "text", ["", "a", "one line", "日本語のテキスト\n" * 40, "emoji 👩\u200d👩\u200d👧 \ufe0f end"]
)
def test_any_text_can_be_signed(text, bench):
    data, _ = bench.sign(text.encode(), "text/plain")
    reading = read_asset(data, "text/plain", trust=bench.trust)
    assert reading.state is ManifestState.TRUSTED
    assert strip_a8(data.decode()) == unicodedata.normalize("NFC", text)


def test_not_utf8_is_refused(bench):
    with pytest.raises(SigningFailed):
        bench.sign(b"\xff\xfe", "text/plain")


def test_an_exclusion_wider_than_the_wrapper_is_refused(bench, samples):
    """Signed so that the last words of the text are excluded from the hash: they could be rewritten at will."""
    from gensafe.provenance import a8, c2pa_adapter
    from gensafe.provenance.definition import manifest_definition

    visible = b"I never said that I owe him 100"
    covered = visible[:-4]
    definition = manifest_definition(samples.facts(), "text/plain")

    def attempt(length):
        hashed = {
            "exclusions": [{"start": len(covered), "length": length + 4}],
            "name": "x",
            "alg": "sha256",
            "hash": list(hashlib.sha256(covered).digest()),
            "pad": [],
        }
        return c2pa_adapter.sign_detached(definition, (), hashed, bench.ring.claim_signer(), bench.trust)

    length = a8.tight(attempt(10_000), 192)
    wrapper = wrap_a8(a8.fit(attempt(length), length)).encode()
    for text in (visible, covered + b" 999"):
        reading = read_asset(text + wrapper, "text/plain", trust=bench.trust)
        assert reading.has_success("assertion.dataHash.match")  # the library's hash alone would let both pass
        assert reading.state is ManifestState.INVALID
