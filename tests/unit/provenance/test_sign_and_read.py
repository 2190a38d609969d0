"""Every output format: signed, time-stamped, read back; and every kind of tampering seen."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from gensafe.core.digest import sha256
from gensafe.core.errors import ManifestInvalid, SigningFailed
from gensafe.media import decode, sniff
from gensafe.provenance import IN_BAND, InputFact, ManifestState, TrustStore, jumbf, read_asset, read_store
from gensafe.provenance.cose import parse_cose
from gensafe.provenance.judge import hard_binding_holds

TYPES = [
    "image/png",
    "image/jpeg",
    "image/webp",
    "audio/wav",
    "audio/mpeg",
    "audio/flac",
    "video/mp4",
    "text/plain",
    "application/json",
    "audio/ogg",
]


def sidecar(manifest):
    return None if manifest.embedded else manifest.data


@pytest.mark.parametrize("media_type", TYPES)
def test_signed_file_reads_back_trusted(media_type, signed, bench, samples):
    data, manifest = signed[media_type]
    reading = read_asset(data, media_type, sidecar=sidecar(manifest), trust=bench.trust)
    assert reading.state is ManifestState.TRUSTED
    assert reading.trust_list == "own signers"
    assert reading.failures == ()
    assert hard_binding_holds(reading)
    assert reading.signer.fingerprint == manifest.signer_fingerprint
    assert "GenSafe development signer" in reading.signer.subject
    assert reading.label == manifest.label
    assert reading.manifest_digest == manifest.digest == sha256(manifest.data)
    assert reading.record_id == samples.RECORD and reading.development and manifest.development
    assert reading.time_stamp.trusted and "time-stamp authority" in reading.time_stamp.authority
    assert manifest.embedded is (media_type in IN_BAND or media_type == "text/plain")


@pytest.mark.parametrize(
    "media_type", [t for t in TYPES if t not in ("application/json", "audio/ogg")]
)  # those are samples of bytes only
def test_what_was_signed_is_still_named_and_decoded(media_type, signed):
    """C2PA puts the manifest of a FLAC into a leading ID3v2 tag: each was called audio/mpeg."""
    data, _ = signed[media_type]
    assert sniff(data) == media_type
    assert decode(data, media_type).modality.value == ("text" if media_type == "text/plain" else media_type[:5])


def test_manifest_says_what_the_rules_ask_for(signed, bench):
    reading = read_asset(signed["image/png"][0], "image/png", trust=bench.trust)
    created, marked = reading.actions
    assert created.action == "c2pa.created"
    assert created.digital_source_type.endswith("/trainedAlgorithmicMedia")
    assert created.software_agent == "symphony 1"
    assert marked.action == "c2pa.watermarked.bound"
    assert [(b.alg, b.value) for b in reading.soft_bindings] == [("org.gensafe.image.1", "AAECAwQFBg==")]
    assert reading.ai_disclosure["contentProfile"] == {"humanOversightLevel": "prompt_guided"}
    assert reading.moderation["verdictDigest"] == "sha256:" + "c" * 64
    claim = json.loads(reading.crjson)["manifests"][0]["claim.v2"]
    assert claim["claim_generator_info"]["specVersion"] == "2.4.0"
    attested = {item["url"].rsplit("/", 1)[-1] for item in claim["created_assertions"]}
    assert {"c2pa.actions.v2", "c2pa.soft-binding", "c2pa.ai-disclosure", "org.gensafe.generation"} <= attested
    actions = next(a for a in reading.raw["manifests"][reading.label]["assertions"] if "actions" in a["label"])
    assert actions["data"]["allActionsIncluded"] is True
    assert not any("thumbnail" in label for label in reading.assertions)


def test_unmarked_output_says_why(files, bench):
    data, _ = bench.sign(files["image/png"], "image/png", soft_binding_alg="", watermark_note="too small")
    reading = read_asset(data, "image/png", trust=bench.trust)
    assert [a.action for a in reading.actions] == ["c2pa.created"]
    assert reading.soft_bindings == ()
    assert reading.generation["notWatermarked"] == "too small"


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "image/webp"])
def test_pixels_are_not_touched(media_type, files, signed):
    before = np.asarray(Image.open(io.BytesIO(files[media_type])))
    after = np.asarray(Image.open(io.BytesIO(signed[media_type][0])))
    assert np.array_equal(before, after)


@pytest.mark.parametrize("media_type", TYPES)
def test_flipped_content_byte_is_invalid(media_type, signed, bench):
    data, manifest = signed[media_type]
    damaged = bytearray(data)
    if media_type == "text/plain":
        damaged[4] ^= 0x01
    else:
        at = {"image/webp": 400, "audio/wav": 1000}.get(media_type, -20 if manifest.embedded else -1)
        damaged[at] ^= 0x01  # RIFF files end with the manifest, the others with content
    reading = read_asset(bytes(damaged), media_type, sidecar=sidecar(manifest), trust=bench.trust)
    assert reading.state is ManifestState.INVALID
    assert reading.trust_list is None
    assert any(code.endswith("Hash.mismatch") for code in reading.failure_codes())
    assert not hard_binding_holds(reading)


@pytest.mark.parametrize("media_type", ["image/png", "audio/wav", "video/mp4"])
def test_flipped_claim_byte_is_invalid(media_type, signed, bench):
    data, manifest = signed[media_type]
    at = data.index(b"hmac-sha256:bbbb") + 20
    damaged = data[:at] + b"c" + data[at + 1 :]
    if media_type == "image/png":  # mend the chunk's CRC, so that only the claim is wrong
        from gensafe.provenance import containers

        damaged = containers.overwrite(damaged, containers.extract(damaged))
    reading = read_asset(damaged, media_type, trust=bench.trust)
    assert reading.state is ManifestState.INVALID
    assert "assertion.hashedURI.mismatch" in reading.failure_codes()
    assert manifest.digest != reading.manifest_digest


def test_manifest_moved_to_another_picture_is_invalid(signed, samples, bench):
    other = samples.image("PNG", seed=7)
    chunk_at = signed["image/png"][0].index(b"caBX") - 4
    length = int.from_bytes(signed["image/png"][0][chunk_at : chunk_at + 4], "big") + 12
    chunk = signed["image/png"][0][chunk_at : chunk_at + length]
    moved = other[:33] + chunk + other[33:]
    reading = read_asset(moved, "image/png", trust=bench.trust)
    assert reading.state is ManifestState.INVALID
    assert "assertion.dataHash.mismatch" in reading.failure_codes()


def test_unsigned_files_have_no_manifest(files, bench):
    for media_type, data in files.items():
        assert read_asset(data, media_type, trust=bench.trust) is None


def test_stranger_sees_an_intact_but_untrusted_manifest(signed, bench):
    reading = read_asset(signed["image/png"][0], "image/png", trust=TrustStore())
    assert reading.state is ManifestState.VALID
    assert reading.trust_list is None
    assert reading.failure_codes() == ("signingCredential.untrusted",)


def test_signing_twice_is_refused(signed, bench):
    for media_type in ("image/png", "audio/mpeg", "video/mp4", "text/plain"):
        with pytest.raises(SigningFailed, match="already carries"):
            bench.sign(signed[media_type][0], media_type)


def test_signing_what_is_not_the_type_fails_cleanly(bench):
    with pytest.raises(SigningFailed):
        bench.sign(b"not a picture", "image/png")


def test_signer_that_is_not_trusted_is_refused(files, bench, samples):
    from gensafe.provenance import sign_asset

    with pytest.raises(SigningFailed, match="valid"):
        sign_asset(files["image/png"], "image/png", samples.facts(), bench.ring.claim_signer(), None, TrustStore())


def test_failing_signer_names_its_cause(files, bench, samples):
    from gensafe.provenance import sign_asset

    class Broken:
        algorithm = "es256"
        development = True

        def certificate_chain(self):
            return bench.ring.claim_signer().certificate_chain()

        def sign(self, data):
            raise SigningFailed("the HSM is on fire")

    with pytest.raises(SigningFailed, match="HSM is on fire"):
        sign_asset(files["image/png"], "image/png", samples.facts(), Broken(), None, bench.trust)


def test_failing_time_stamper_fails_the_signing(files, bench, samples):
    from gensafe.provenance import sign_asset

    class Down:
        def stamp(self, imprint):
            raise SigningFailed("the authority cannot be reached")

    for media_type in ("image/png", "text/plain", "application/json"):
        with pytest.raises(SigningFailed, match="cannot be reached"):
            sign_asset(files[media_type], media_type, samples.facts(), bench.ring.claim_signer(), Down(), bench.trust)


def test_without_a_time_stamper_there_is_no_time_stamp(files, bench):
    data, _ = bench.sign(files["image/jpeg"], "image/jpeg", stamped=False)
    assert read_asset(data, "image/jpeg", trust=bench.trust).time_stamp is None


def test_inputs_are_ingredients_and_carry_their_provenance(files, signed, bench):
    inputs = (
        InputFact("photo", "image/png", sha256(files["image/png"])),
        InputFact("earlier output", "image/png", sha256(signed["image/png"][0]), signed["image/png"][0]),
    )
    data, _ = bench.sign(files["image/jpeg"], "image/jpeg", inputs=inputs)
    reading = read_asset(data, "image/jpeg", trust=bench.trust)
    assert reading.state is ManifestState.TRUSTED
    by_title = {i.title: i for i in reading.ingredients}
    assert set(by_title) == {"prompt", "symphony", "photo", "earlier output"}
    assert by_title["photo"].state is None
    assert by_title["earlier output"].state in (ManifestState.TRUSTED, ManifestState.VALID)
    assert reading.manifests == 2


def test_broken_ingredient_has_its_own_verdict(files, signed, bench):
    broken = bytearray(signed["image/png"][0])
    broken[-20] ^= 1
    inputs = (InputFact("tampered", "image/png", sha256(bytes(broken)), bytes(broken)),)
    data, _ = bench.sign(files["image/jpeg"], "image/jpeg", inputs=inputs)
    reading = read_asset(data, "image/jpeg", trust=bench.trust)
    (tampered,) = [i for i in reading.ingredients if i.title == "tampered"]
    assert tampered.state is ManifestState.INVALID
    assert any(f.code == "assertion.dataHash.mismatch" for f in tampered.failures)


@pytest.mark.parametrize("media_type", ["application/json", "audio/ogg"])
def test_a_sidecar_carries_no_padding(signed, media_type):
    _, manifest = signed[media_type]
    box = jumbf.signature_path(manifest.data)[-1]
    headers = dict(parse_cose(manifest.data[box.content : box.end]).unprotected)
    assert headers["pad"] == b"\x40"  # an empty byte string
    assert len(manifest.data) < 7000  # 15,116 with the library's reserve


def test_sidecar_of_another_file_is_invalid(signed, bench):
    _, manifest = signed["application/json"]
    reading = read_asset(b'{"answer": 43}\n', "application/json", sidecar=manifest.data, trust=bench.trust)
    assert reading.state is ManifestState.INVALID


def test_garbage_sidecar_raises_only_our_error(bench):
    for junk in (b"", b"junk", b"\x00\x00\x00\x10jumb" + bytes(8)):
        with pytest.raises(ManifestInvalid):
            read_asset(b"{}", "application/json", sidecar=junk, trust=bench.trust)


def test_store_without_its_asset_still_says_who_signed(signed, bench):
    for media_type in TYPES:
        _, manifest = signed[media_type]
        reading = read_store(manifest.data, bench.trust)
        assert reading.state is ManifestState.TRUSTED
        assert reading.manifest_digest == manifest.digest
        assert not hard_binding_holds(reading)
    damaged = bytearray(signed["image/png"][1].data)
    damaged[damaged.index(b"hmac-sha256:bbbb") + 20] ^= 1
    assert read_store(bytes(damaged), bench.trust).state is ManifestState.INVALID
    assert read_store(signed["image/png"][1].data, TrustStore()).state is ManifestState.VALID


def test_sidecar_for_text_like_bytes(signed, bench):
    """JSON looks like plain text to anyone who goes by the bytes."""
    data, manifest = signed["application/json"]
    assert read_asset(data, "text/plain", sidecar=manifest.data, trust=bench.trust).state is ManifestState.TRUSTED


@pytest.mark.parametrize("media_type", ["image/png", "audio/wav", "application/json"])
def test_nothing_can_be_hidden_in_the_unsigned_padding(media_type, signed, bench):
    from gensafe.provenance import containers

    data, manifest = signed[media_type]
    box = jumbf.signature_path(manifest.data)[-1]
    cose = parse_cose(manifest.data[box.content : box.end])
    if manifest.embedded:
        at = manifest.data.index(dict(cose.unprotected)["pad"]) + 100
        store = manifest.data[:at] + b"smuggled" + manifest.data[at + 8 :]
        reading = read_asset(containers.overwrite(data, store), media_type, trust=bench.trust)
    else:  # a sidecar has no padding: it is put in
        store = jumbf.replace_signature(manifest.data, cose.with_padding(100, b"smuggled").encode())
        reading = read_asset(data, media_type, sidecar=store, trust=bench.trust)
    assert reading.library_state == "Trusted"
    assert reading.state is ManifestState.INVALID
    assert reading.failure_codes() == ("gensafe.padding.used",)
