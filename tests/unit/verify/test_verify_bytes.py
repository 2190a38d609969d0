"""What the verifier concludes about real files, attacked in real ways."""

from dataclasses import replace

import numpy as np
import pytest

from gensafe import media
from gensafe.core import ids, plugins
from gensafe.core.types import Conclusion, Modality, Outcome, Text
from gensafe.media.labels import Aigc, LatentLabel, write_labels
from gensafe.media.transform import resize
from gensafe.provenance import TrustStore, containers, strip_a8
from gensafe.provenance.types import InputFact
from gensafe.verify import EXIT_CODES, VerifyContext, verify_bytes

SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype"
AIGC = Aigc("00119144030071526726XG00001", "id-1")
NAMES = [
    "container",
    "manifest",
    "claim signature",
    "hard binding",
    "signer trust",
    "revocation",
    "time-stamp",
    "ingredients",
    "AI assertions",
    "soft binding",
    "watermark",
    "registry record",
    "fingerprint",
    "recovered manifest",
    "log inclusion",
    "checkpoint signature",
    "labels",
]


def outcome(report, name):
    return next(c.outcome for c in report.checks if c.name == name)


def line(report, name):
    return next(c for c in report.checks if c.name == name)


@pytest.mark.parametrize("kind", ["image", "audio", "text"])
def test_untouched_output_is_proved(kind, outputs, deployment):
    report = verify_bytes(outputs[kind].data, name="x", context=deployment.context)
    assert report.conclusion is Conclusion.PROVED, report
    assert [c.name for c in report.checks] == NAMES
    for name in ("container", "manifest", "claim signature", "hard binding", "signer trust", "time-stamp"):
        assert outcome(report, name) is Outcome.PASS, name
    for name in ("AI assertions", "registry record", "fingerprint", "log inclusion", "checkpoint signature"):
        assert outcome(report, name) is Outcome.PASS, name
    expected = Outcome.UNSUPPORTED if kind == "text" else Outcome.PASS
    assert outcome(report, "watermark") is expected
    assert "development key" in line(report, "signer trust").summary
    assert report.crjson


def test_flipped_byte_is_altered(outputs, deployment):
    for kind, at in (("image", -40_000), ("audio", 3000), ("text", 20)):
        damaged = bytearray(outputs[kind].data)
        damaged[at] ^= 1
        report = verify_bytes(bytes(damaged), name="x", context=deployment.context)
        assert report.conclusion is Conclusion.ALTERED, (kind, report)
        assert outcome(report, "hard binding") is Outcome.FAIL


@pytest.mark.parametrize("media_type", ["image/png", "video/mp4", "image/jpeg"])
def test_any_flipped_byte_of_the_content_is_altered(media_type, samples, deployment):
    """Also where the flip breaks the container itself, so that neither decoder nor C2PA library can walk it."""
    data, manifest = deployment.bench.sign(samples.all_files()[media_type], media_type, soft_binding_alg="")
    bare = replace(deployment.context, detectors={}, records=None, log=None)
    first, last = containers.locate(data)[0][0], containers.locate(data)[-1][1]
    rng = np.random.default_rng(2)
    for at in rng.integers(last + 8, len(data) - 12, 25):
        damaged = bytearray(data)
        damaged[at] ^= 1 << rng.integers(8)
        report = verify_bytes(bytes(damaged), name="x", context=bare)
        wanted = (Conclusion.ALTERED, Conclusion.UNREADABLE)  # a length that grew looks like a missing end
        assert report.conclusion in wanted, (at, report)
        if report.conclusion is Conclusion.UNREADABLE:
            assert media_type != "image/jpeg"
    assert first < last and manifest.embedded


def test_stripped_and_reencoded_picture_is_derived(outputs, deployment):
    content = media.decode(outputs["image"].data, "image/png")
    copy = media.encode(resize(content, 0.75), "image/jpeg", quality=75)
    report = verify_bytes(copy, name="copy.jpg", context=deployment.context)
    assert report.conclusion is Conclusion.DERIVED, report
    assert EXIT_CODES[report.conclusion] == 5
    assert "not shown to be unchanged" in report.explanation
    assert line(report, "registry record").evidence["found_by"] == "watermark"
    assert outcome(report, "recovered manifest") is Outcome.PASS
    assert report.crjson


def test_stripped_and_reencoded_sound_is_derived(outputs, deployment):
    copy = media.encode(media.decode(outputs["audio"].data, "audio/wav"), "audio/mpeg", quality=128)
    report = verify_bytes(copy, name="copy.mp3", context=deployment.context)
    assert report.conclusion is Conclusion.DERIVED, report


def test_text_without_its_invisible_part_is_recovered_exactly(outputs, deployment):
    visible = strip_a8(outputs["text"].data.decode()).encode()
    report = verify_bytes(visible, name="story.txt", context=deployment.context)
    assert report.conclusion is Conclusion.PROVED_BY_RECOVERY, report
    assert "exactly" in report.explanation


def test_edited_text_with_broken_wrapper_shows_the_difference(outputs, deployment):
    edited = outputs["text"].data.decode().replace("small red circle", "large red circle", 1).encode()
    report = verify_bytes(edited, name="x", context=deployment.context)
    assert report.conclusion is Conclusion.ALTERED
    difference = line(report, "difference").evidence["difference"]
    assert any(text.startswith("+") and "large red circle" in text for text in difference)
    assert difference[0] == "99 % of the words are those of the recorded text; 1 sentence of 8 differs"


def test_edited_stripped_text_without_a_mark_proves_nothing_but_is_named(outputs, deployment):
    edited = strip_a8(outputs["text"].data.decode()).replace("small", "large", 1).encode()
    report = verify_bytes(edited, name="x", context=deployment.context)
    assert report.conclusion is Conclusion.NOTHING_FOUND
    named = line(report, "registry record")
    assert "resembles" in named.summary
    assert named.evidence["difference"][0].endswith("1 sentence of 8 differs")


def test_someone_elses_picture_is_nothing_found(picture_of, deployment):
    foreign = media.encode(picture_of(seed=99), "image/jpeg")
    report = verify_bytes(foreign, name="photo.jpg", context=deployment.context)
    assert report.conclusion is Conclusion.NOTHING_FOUND
    assert "does not mean" in report.explanation


@pytest.mark.parametrize("kind", ["image", "audio"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_truncated_file_is_unreadable(kind, part, outputs, deployment):
    """A chunk (of samples, or of the manifest behind them) that states a real length beyond the end: it is cut."""
    data = outputs[kind].data
    report = verify_bytes(data[: int(len(data) * part)], name="x", context=deployment.context)
    assert report.conclusion is Conclusion.UNREADABLE, report


def test_random_bytes_are_unreadable(deployment):
    rng = np.random.default_rng(5)
    for size in (0, 1, 2, 7, 16, 100, 3000):
        for _ in range(12):
            report = verify_bytes(rng.bytes(size), name="x", context=deployment.context)
            assert report.conclusion in (Conclusion.UNREADABLE, Conclusion.NOTHING_FOUND)
            if size > 6:
                assert report.conclusion is Conclusion.UNREADABLE


def test_transplanted_mark(outputs, deployment, picture_of):
    """Our genuine mark, re-embedded by a thief who holds the key, in a picture that is not its record's."""
    payload = ids.pack_payload(outputs["image"].record.record_id, 0)
    scheme = plugins.load("gensafe.watermarks", "image")
    key = deployment.bench.ring.watermark_key(Modality.IMAGE)
    forged = scheme.embed(picture_of(seed=50), payload, key)
    report = verify_bytes(media.encode(forged, "image/png"), name="x", context=deployment.context)
    assert report.conclusion is Conclusion.TRANSPLANTED_MARK, report
    assert EXIT_CODES[report.conclusion] == 1


def test_human_capture_claim_on_our_mark_is_a_clash(outputs, deployment):
    """Signed as a photograph by a signer that is even trusted: the mark says otherwise and outranks it."""
    content = media.decode(outputs["image"].data, "image/png")
    capture = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
    data, _ = deployment.bench.sign(
        media.encode(content, "image/jpeg", quality=95), "image/jpeg", digital_source_type=capture, soft_binding_alg=""
    )
    report = verify_bytes(data, name="x", context=deployment.context)
    assert outcome(report, "signer trust") is Outcome.PASS
    assert report.conclusion is Conclusion.LAYERS_DISAGREE, report
    assert "captured" in line(report, "AI assertions").summary


def test_manifest_of_one_record_with_the_mark_of_another(outputs, deployment, picture_of):
    marked = media.decode(outputs["image"].data, "image/png")
    data, _ = deployment.bench.sign(
        media.encode(marked, "image/png"), "image/png", record_id="00000000000aa", soft_binding_alg=""
    )
    report = verify_bytes(data, name="x", context=deployment.context)
    assert report.conclusion is Conclusion.LAYERS_DISAGREE


def test_promised_mark_that_is_missing(deployment, picture_of):
    output = deployment.release(
        picture_of(seed=8), "image/png", marked=False, soft_binding_alg="org.gensafe.image", soft_binding_value="00"
    )
    report = verify_bytes(output.data, name="x", context=deployment.context)
    assert report.conclusion is Conclusion.LAYERS_DISAGREE
    assert outcome(report, "soft binding") is Outcome.FAIL


def test_manifest_by_a_stranger_is_found_but_untrusted(deployment, tmp_path, samples, picture_of):
    stranger = samples.make_bench(tmp_path / "stranger")
    data, _ = stranger.sign(media.encode(picture_of(seed=3), "image/png"), "image/png", soft_binding_alg="")
    report = verify_bytes(data, name="x", context=replace(deployment.context, detectors={}))
    assert report.conclusion is Conclusion.FOUND_UNTRUSTED
    assert EXIT_CODES[report.conclusion] == 4


def test_record_that_the_log_contradicts(deployment, picture_of):
    output = deployment.release(picture_of(seed=12), "image/png")
    moved = replace(output.record, log_index=0, record_id=output.record.record_id)

    class Lying:
        def __getattr__(self, name):
            return getattr(deployment.registry, name)

        def by_record_id(self, record_id):
            return moved

    context = replace(deployment.context, records=Lying())
    report = verify_bytes(output.data, name="x", context=context)
    assert report.conclusion is Conclusion.LAYERS_DISAGREE
    assert outcome(report, "log inclusion") is Outcome.FAIL


def test_mark_without_registry_is_found_but_untrusted(outputs, deployment):
    copy = media.encode(media.decode(outputs["image"].data, "image/png"), "image/jpeg", quality=90)
    context = replace(deployment.context, records=None, log=None)
    report = verify_bytes(copy, name="x", context=context)
    assert report.conclusion is Conclusion.FOUND_UNTRUSTED
    assert outcome(report, "registry record") is Outcome.UNSUPPORTED


def test_without_its_manifest_a_copy_is_derived_whatever_the_log_proves(deployment, picture_of):
    output = deployment.release(picture_of(seed=21), "image/png", keep=False)
    copy = media.encode(media.decode(output.data, "image/png"), "image/jpeg", quality=90)
    report = verify_bytes(copy, name="x", context=deployment.context)
    assert report.conclusion is Conclusion.DERIVED
    assert "no longer keeps it" in line(report, "recovered manifest").summary


def test_sidecar_type_found_again_by_its_exact_bytes(deployment):
    output = deployment.release(speechless(), "audio/ogg", marked=False)
    assert not output.manifest.embedded
    context = replace(deployment.context, detectors={})  # nothing was marked: a search would only take time
    bare = verify_bytes(output.data, name="x", context=context)
    assert bare.conclusion is Conclusion.PROVED_BY_RECOVERY
    beside = verify_bytes(output.data, name="x", context=context, sidecar=output.manifest.data)
    assert beside.conclusion is Conclusion.PROVED


def speechless():
    from gensafe.core.types import Audio

    t = np.arange(16000) / 16000
    return Audio((0.3 * np.sin(2 * np.pi * 300 * t)).astype(np.float32)[None], 16000)


def test_a_bare_verifier_trusts_nobody(outputs):
    report = verify_bytes(outputs["image"].data, name="x", context=VerifyContext(TrustStore(), contained=False))
    assert report.conclusion is Conclusion.FOUND_UNTRUSTED


def test_rotated_watermark_key_still_finds_old_marks(tmp_path, samples, picture_of):
    from gensafe.keys import Role
    from gensafe.verify import open_context

    bench = samples.make_bench(tmp_path / "keys")
    scheme = plugins.load("gensafe.watermarks", "image")
    old = scheme.embed(picture_of(), ids.pack_payload(5, 0), bench.ring.watermark_key(Modality.IMAGE))
    bench.ring.rotate(Role.WATERMARK)
    context = open_context(bench.ring, contained=False)
    report = verify_bytes(media.encode(old, "image/png"), name="x", context=context)
    mark = line(report, "watermark")
    assert mark.evidence["record_id"] == ids.record_id_text(5)
    assert mark.evidence["epoch"] == 0


def test_text_mark_needs_its_tokenizer(outputs, deployment):
    report = verify_bytes(outputs["text"].data, name="x", context=deployment.context)
    assert "tokenizer" in line(report, "watermark").summary
    assert isinstance(outputs["text"].content, Text)


def test_revoked_signer_is_untrusted_and_nothing_was_altered(outputs, deployment):
    trust = replace(deployment.context.trust, revoked=frozenset({outputs["image"].manifest.signer_fingerprint}))
    context = replace(deployment.context, trust=trust)
    report = verify_bytes(outputs["image"].data, name="x", context=context)
    assert report.conclusion is Conclusion.FOUND_UNTRUSTED
    assert outcome(report, "revocation") is Outcome.FAIL
    assert outcome(report, "hard binding") is Outcome.PASS
    damaged = bytearray(outputs["image"].data)
    damaged[-40_000] ^= 1
    assert verify_bytes(bytes(damaged), name="x", context=context).conclusion is Conclusion.ALTERED


def labelled(samples, **changes):
    label = LatentLabel("Acme", "Painter", "2", "2026-11-21T04:00:00Z", "id-1", profile="cn", aigc=AIGC, **changes)
    return write_labels(samples.image("PNG"), "image/png", label)


def test_labels_are_shown_as_the_claims_they_are(samples, deployment):
    bare = replace(deployment.context, detectors={}, records=None, log=None)
    data = labelled(samples)
    report = verify_bytes(data, name="x", context=bare)
    said = line(report, "labels")
    assert report.conclusion is Conclusion.NOTHING_FOUND and "anyone can write or remove" in report.explanation
    assert said.outcome is Outcome.PASS and "no signature" in said.summary
    for word in ("trainedAlgorithmicMedia", "AIGC label 1 by 001191", "created by Painter of Acme"):
        assert word in said.summary
    signed, _ = deployment.bench.sign(data, "image/png", soft_binding_alg="")
    report = verify_bytes(signed, name="x", context=bare)
    assert report.conclusion is Conclusion.PROVED
    assert "covered by the signature" in line(report, "labels").summary
    assert outcome(verify_bytes(samples.image("PNG"), name="x", context=bare), "labels") is Outcome.ABSENT
    assert outcome(verify_bytes(b"some text", name="x", context=bare), "labels") is Outcome.UNSUPPORTED


def test_labels_that_contradict_are_a_failure_of_their_line_only(samples, deployment):
    bare = replace(deployment.context, detectors={}, records=None, log=None)
    one, other = labelled(samples), labelled(samples, altered=True)
    chunk = other[33 : other.index(b"IDAT") - 4]  # the other's iTXt, after the signature and IHDR
    report = verify_bytes(one[:33] + chunk + one[33:], name="x", context=bare)
    assert "2 XMP packets" in line(report, "labels").summary and outcome(report, "labels") is Outcome.FAIL
    captured, _ = deployment.bench.sign(
        one, "image/png", soft_binding_alg="", digital_source_type=f"{SOURCES}/digitalCapture"
    )
    report = verify_bytes(captured, name="x", context=bare)
    assert outcome(report, "labels") is Outcome.FAIL and "captured" in line(report, "labels").summary


def test_no_fingerprint_is_taken_where_nothing_could_use_it(outputs, deployment, monkeypatch):
    taken = []
    monkeypatch.setattr("gensafe.verify.inspect.fingerprint", lambda content: taken.append(content) or {})
    for records in (None, deployment.registry):
        context = replace(deployment.context, contained=False, records=records, log=None, detectors={})
        verify_bytes(outputs["image"].data, name="x", context=context)
        assert bool(taken) == (records is not None)


def test_a_broken_ingredient_is_said_beside_the_proof(samples, deployment, outputs):
    bare = replace(deployment.context, detectors={}, records=None, log=None)
    damaged = bytearray(outputs["image"].data)
    damaged[-40_000] ^= 1
    inputs = (InputFact("sketch", "image/png", "sha256:" + "0" * 64, bytes(damaged)),)
    data, _ = deployment.bench.sign(samples.image("PNG"), "image/png", inputs=inputs, soft_binding_alg="")
    report = verify_bytes(data, name="x", context=bare)
    assert report.conclusion is Conclusion.PROVED and outcome(report, "ingredients") is Outcome.FAIL
    assert "made from carries credentials that are not valid" in report.explanation


@pytest.mark.parametrize("name", ["photo.png", "voice.mp3", "clip.mp4"])
@pytest.mark.parametrize("data", [b"x", b"<html><body>404 Not Found</body></html>"])
def test_a_text_under_the_name_of_a_medium_is_not_examined_as_that(name, data, deployment):
    """What is left of a failed download is text: "nothing found" in it would be read as an answer about the picture."""
    report = verify_bytes(data, name=name, context=deployment.context)
    assert report.conclusion is Conclusion.UNEXAMINED
    assert "the content is text" in report.explanation
    assert EXIT_CODES[report.conclusion] == 3
    as_text = verify_bytes(data, name="page.txt", context=deployment.context)
    assert as_text.conclusion is Conclusion.NOTHING_FOUND


def test_a_signed_text_is_proved_under_any_name(outputs, deployment):
    report = verify_bytes(outputs["text"].data, name="x.png", context=deployment.context)
    assert report.conclusion is Conclusion.PROVED
