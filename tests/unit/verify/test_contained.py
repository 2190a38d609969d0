"""Verification with the parsing in its worker process, on files that are out to hurt."""

import zlib
from dataclasses import replace

import numpy as np
import pytest

from gensafe import media
from gensafe.core.types import Conclusion
from gensafe.provenance import strip_a8
from gensafe.verify import EXIT_CODES, verify_bytes
from gensafe.verify.inspect import inspect


@pytest.fixture(scope="module")
def contained(deployment):
    return replace(deployment.context, contained=True)


@pytest.mark.parametrize("kind", ["image", "audio", "text", "json"])
def test_the_worker_says_the_same(kind, outputs, deployment, contained):
    inside = verify_bytes(outputs[kind].data, name="x", context=contained)
    here = verify_bytes(outputs[kind].data, name="x", context=deployment.context)
    assert inside.checks == here.checks
    assert inside.conclusion is here.conclusion is Conclusion.PROVED


def test_random_bytes(contained):
    rng = np.random.default_rng(11)
    for size in list(range(0, 40)) + [100, 1000, 10_000] * 10:
        report = verify_bytes(rng.bytes(size), name="x", context=contained)
        assert EXIT_CODES[report.conclusion] == 3 or size < 8


def png_chunk(kind, body):
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def bombs():
    header = b"\x89PNG\r\n\x1a\n"
    huge = png_chunk(b"IHDR", (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00")
    yield (
        "picture of 3.6 gigapixels",
        header + huge + png_chunk(b"IDAT", zlib.compress(bytes(10_000))) + png_chunk(b"IEND", b""),
    )
    yield (
        "nested boxes",
        b"\0\0\0\x10ftypisom\0\0\0\0" + b"".join((8 * (4000 - i)).to_bytes(4, "big") + b"moov" for i in range(4000)),
    )
    yield "box that is its own parent", b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x01uuid" + bytes(8)
    yield "riff that lies about its size", b"RIFF\xff\xff\xff\x7fWAVEfmt \xff\xff\xff\x7f" + bytes(64)
    yield "jpeg of headers", b"\xff\xd8" + b"\xff\xeb\x00\x14JP\x00\x01\x00\x00\x00\x01\x00\x00\x00\x10jumb" * 3000
    yield "id3 without end", b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + b"GEOB\x7f\x7f\x7f\x7f\x00\x00" * 500
    yield "jumbf in jumbf", header + png_chunk(b"caBX", b"\x00\x00\x40\x00jumb" * 2000) + png_chunk(b"IEND", b"")
    yield "only selectors", ("\ufeff" + "\ufe00" * 200_000).encode()
    yield (
        "a thousand wrappers",
        ("\ufeff" + "".join(chr(0xFE00 + b) if b < 16 else chr(0xE0100 + b - 16) for b in b"C2PATXT\0")).encode()
        * 1000,
    )


@pytest.mark.parametrize(("name", "data"), list(bombs()), ids=[name for name, _ in bombs()])
def test_bombs_are_harmless(name, data, contained):
    report = verify_bytes(data, name=name, context=contained)
    assert EXIT_CODES[report.conclusion] in (1, 2, 3)
    assert report.conclusion not in (Conclusion.PROVED, Conclusion.PROVED_BY_RECOVERY)


def test_damaged_outputs_never_prove_other_content(outputs, contained):
    """Bit flips all over a signed file: never a crash, and whatever is proved is the very content that was signed.

    A few bytes of the manifest's own framing (box labels, for one) are covered by no signature in C2PA.
    """
    rng = np.random.default_rng(3)
    contained = replace(contained, detectors={})
    for kind, media_type in (("audio", "audio/wav"), ("text", "text/plain")):
        data = outputs[kind].data
        for _ in range(30):
            damaged = bytearray(data)
            damaged[rng.integers(len(data))] ^= 1 << rng.integers(8)
            report = verify_bytes(bytes(damaged), name="x", context=contained)
            if report.conclusion is Conclusion.PROVED:
                before, after = media.decode(data, media_type), media.decode(bytes(damaged), media_type)
                if kind == "text":
                    assert strip_a8(before.text) == strip_a8(after.text)
                else:
                    assert np.array_equal(before.samples, after.samples)


def test_too_large_a_file_is_refused_before_it_is_parsed(outputs, contained):
    context = replace(contained, limits=replace(contained.limits, max_bytes=1000))
    report = verify_bytes(outputs["image"].data, name="x", context=context)
    assert report.conclusion is Conclusion.UNREADABLE


def test_inspection_holds_no_key(outputs, deployment):
    """What the worker is handed: bytes, trust lists, limits, and whether to take a fingerprint."""
    assert inspect.__annotations__.keys() == {"data", "sidecar", "trust", "limits", "prints", "return"}


def test_a_crashing_detector_is_an_error_line(outputs, deployment):
    def crash(content, key):
        raise ZeroDivisionError

    context = replace(deployment.context, detectors=dict.fromkeys(deployment.context.detectors, crash))
    report = verify_bytes(outputs["image"].data, name="x", context=context)
    mark = next(c for c in report.checks if c.name == "watermark")
    assert mark.outcome == "error" and "ZeroDivisionError" in mark.summary
    assert report.conclusion is Conclusion.UNEXAMINED and EXIT_CODES[report.conclusion] == 3
    assert "Not examined: watermark." in report.explanation and "Signed by" in report.explanation
