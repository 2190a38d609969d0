"""What could not be looked at is never proved. Before, an intact trusted signature was "proved" whatever else broke."""

import io
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as PilImage

from gensafe import media
from gensafe.core.errors import LogUnavailable, RegistryError, UnreadableMedia
from gensafe.core.softbinding import algorithm_of, value_of
from gensafe.core.types import Conclusion, Modality, Outcome
from gensafe.core.types.caller import Public
from gensafe.verify import EXIT_CODES, verify_bytes

CAPTURE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


def line(report, name):
    return next(c for c in report.checks if c.name == name)


def chunk(kind, body):
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def with_chunk(png, kind, body):
    """A chunk more, before the image data."""
    at = png.index(b"IDAT") - 4
    return png[:at] + chunk(kind, body) + png[at:]


def exif_jpeg(png):
    """The picture as JPEG whose Exif has an x-resolution of type BYTE."""
    entry = (0x011A).to_bytes(2, "little") + (1).to_bytes(2, "little") + (1).to_bytes(4, "little") + b"\x48\0\0\0"
    tiff = b"II*\0\x08\0\0\0\x01\0" + entry + b"\0\0\0\0"
    out = io.BytesIO()
    PilImage.open(io.BytesIO(png)).save(out, "JPEG", quality=95, exif=b"Exif\0\0" + tiff)
    return out.getvalue()


FAULTS = {
    "no fault": lambda png: (png, "image/png"),
    "malformed eXIf": lambda png: (with_chunk(png, b"eXIf", b"not TIFF"), "image/png"),
    "huge zTXt": lambda png: (
        with_chunk(png, b"zTXt", b"Comment\0\0" + zlib.compress(bytes(b"a" * (4 << 20)))),
        "image/png",
    ),
    "byte-typed resolution": lambda png: (exif_jpeg(png), "image/jpeg"),
}


@pytest.fixture(scope="module")
def marked(outputs):
    return media.encode(media.decode(outputs["image"].data, "image/png"), "image/png")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_marked_picture_signed_as_a_photograph_is_never_proved(fault, marked, deployment):
    """A trusted signer vouches for a capture; the pixels carry our mark; a fault in the metadata must not hide that."""
    data, media_type = FAULTS[fault](marked)
    signed, _ = deployment.bench.sign(data, media_type, digital_source_type=CAPTURE, soft_binding_alg="")
    report = verify_bytes(signed, name="x", context=deployment.context)
    assert line(report, "signer trust").outcome is Outcome.PASS
    if line(report, "container").outcome is Outcome.PASS:
        assert report.conclusion is Conclusion.LAYERS_DISAGREE, report
    else:
        assert report.conclusion is Conclusion.UNEXAMINED, report
        assert "Signed by" in report.explanation
    assert EXIT_CODES[report.conclusion] in (1, 3)


@pytest.mark.parametrize("kind", ["image", "audio", "text"])
def test_content_refused_by_a_limit_is_not_proved(kind, outputs, deployment):
    def refuse(*_args, **_kwargs):
        raise UnreadableMedia("refused for this test")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(media, "decode", refuse)
        report = verify_bytes(outputs[kind].data, name="x", context=deployment.context)
    assert line(report, "hard binding").outcome is Outcome.PASS
    assert report.conclusion is Conclusion.UNEXAMINED and EXIT_CODES[report.conclusion] == 3


class Failing:
    """A registry or a log of which one question fails."""

    def __init__(self, behind, name, error):
        self._behind, self._name, self._error = behind, name, error

    def __getattr__(self, name):
        if name == self._name:

            def fail(*_args, **_kwargs):
                raise self._error

            return fail
        return getattr(self._behind, name)


@pytest.mark.parametrize(
    ("part", "question", "error"),
    [
        ("records", "by_record_id", RegistryError("disk I/O error")),
        ("log", "prove", LogUnavailable("the log cannot be opened")),
    ],
)
def test_a_layer_that_cannot_be_read_is_not_a_layer_that_agrees(part, question, error, outputs, deployment):
    context = replace(deployment.context, **{part: Failing(getattr(deployment.context, part), question, error)})
    report = verify_bytes(outputs["image"].data, name="x", context=context)
    assert report.conclusion is Conclusion.UNEXAMINED
    assert error.message in " ".join(c.summary for c in report.checks)


def test_out_of_time_is_a_finding(outputs, deployment):
    for scope in ({}, {"scope": Public()}):
        report = verify_bytes(outputs["image"].data, name="x", context=deployment.context, seconds=0.0, **scope)
        assert report.conclusion is Conclusion.UNEXAMINED
        for name in ("watermark", "registry record"):
            assert line(report, name).outcome is Outcome.ERROR and "out of time" in line(report, name).summary


@pytest.mark.parametrize("shared", [False, True], ids=["each key anew", "work shared between keys"])
def test_time_that_runs_out_between_keys_is_noticed(shared, outputs, deployment):
    from gensafe.verify.budget import Budget
    from gensafe.verify.marks import Search, search

    seen = []
    detect = deployment.context.detectors[Modality.IMAGE]

    def detector(content, key):
        seen.append(key)
        return detect(content, bytes(32))  # a key that marked nothing

    class Prepared:
        def __init__(self, content):
            self.content = content

        def quick(self, key):
            return None

        def whole(self, key):
            return detector(self.content, key)

    ticks = iter(range(100))
    preparers = {Modality.IMAGE: Prepared} if shared else {}
    context = replace(deployment.context, detectors={Modality.IMAGE: detector}, preparers=preparers, epochs=(0,) * 9)
    seconds = 3.0 + 9 * shared  # the cheap part asks for the time once a key as well
    found = search(outputs["image"].content, context, Budget(seconds, lambda: float(next(ticks))))
    assert found.search is Search.FAILED and 0 < len(seen) < 9


# --- a mark whose key is not here ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def foreign(tmp_path_factory, samples, picture_of):
    """A picture of another installation: marked under its key, signed by its signer, promising the mark."""
    from gensafe.core import ids, plugins

    bench = samples.make_bench(tmp_path_factory.mktemp("foreign") / "keys")
    scheme = plugins.load("gensafe.watermarks", "image")
    payload = ids.pack_payload(77, 0)
    picture = scheme.embed(picture_of(seed=33), payload, bench.ring.watermark_key(Modality.IMAGE))
    promise = {"soft_binding_alg": algorithm_of(scheme.scheme), "soft_binding_value": value_of(payload)}
    data, _ = bench.sign(media.encode(picture, "image/png"), "image/png", **promise)
    return bench, data


@pytest.mark.parametrize("keys", [True, False], ids=["with our own keys", "without any key"])
def test_a_foreign_mark_is_not_examined_and_not_missing(keys, foreign, deployment):
    """It said "the promised watermark is not in the content": untrue, the mark is there and its key is elsewhere."""
    bench, data = foreign
    signers = (*deployment.context.trust.signers, *bench.trust.signers)
    stamps = (*deployment.context.trust.time_stamps, *bench.trust.time_stamps)
    context = replace(deployment.context, trust=replace(deployment.context.trust, signers=signers, time_stamps=stamps))
    if not keys:
        context = replace(context, key_for=None, epochs=(), detectors={}, records=None, log=None)
    report = verify_bytes(data, name="x", context=context)
    assert report.conclusion is Conclusion.PROVED, report  # the signature does show that it is unchanged
    said = line(report, "soft binding")
    assert said.outcome is Outcome.UNSUPPORTED
    assert "not examined" in said.summary and "key" in said.summary
    assert "not in the content" not in said.summary


def test_our_own_promised_mark_that_cannot_be_searched_is_no_proof(outputs, deployment):
    """We hold the keys and the manifest is ours: that no search was possible is then a gap, not a clean bill."""
    report = verify_bytes(outputs["image"].data, name="x", context=replace(deployment.context, detectors={}))
    assert report.conclusion is Conclusion.UNEXAMINED
    assert "plugin" in line(report, "soft binding").summary


def test_a_broken_time_stamp_is_a_failure_and_not_absent(outputs, deployment):
    """Flips inside the time-stamp token: never "absent", as of a file that was never stamped."""
    data = outputs["image"].data
    at = data.index(b"sigTst2")
    rng = np.random.default_rng(4)
    seen = set()
    context = replace(deployment.context, detectors={}, key_for=None, records=None, log=None)
    for offset in rng.integers(12, 600, 40):
        damaged = bytearray(data)
        damaged[at + offset] ^= 1 << rng.integers(8)
        body = bytes(damaged)
        start = body.index(b"caBX") - 4
        length = int.from_bytes(body[start : start + 4], "big")
        crc = zlib.crc32(body[start + 4 : start + 8 + length]).to_bytes(4, "big")
        body = body[: start + 8 + length] + crc + body[start + 12 + length :]
        report = verify_bytes(body, name="x", context=context)
        stamp = line(report, "time-stamp")
        seen.add((report.conclusion, stamp.outcome))
        assert stamp.outcome is not Outcome.ABSENT or report.conclusion is not Conclusion.PROVED, (offset, stamp)
        if stamp.outcome is Outcome.FAIL and report.conclusion is Conclusion.PROVED:
            assert "time-stamp" in report.explanation
    assert any(outcome is Outcome.FAIL for _, outcome in seen), seen
