"""A hostile corpus, made from a few honest files: the same bytes on every run.

Cuts, bit flips, spliced manifests, lying lengths, nested boxes, decompression bombs, selector floods and injection
strings.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

INJECTIONS = (
    "<script>alert(1)</script>",
    "'; DROP TABLE records; --",
    '=HYPERLINK("http://example.invalid","x")',
    "\x1b]0;title\x07\x1b[2J",
    "\u202egnp.exe",
    "../../../../etc/passwd\x00.png",
    "A" * 10_000,
    "${jndi:ldap://example.invalid/x}",
)
FRAMES = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
    b"RIFF\xff\xff\xff\x7fWAVE",
    b"RIFF\x10\x00\x00\x00WEBPVP8 ",
    b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41",
    b"ID3\x04\x00\x00\x00\x00\x0f\x7f",
    b"fLaC\x00\x00\x00\x22",
    b"OggS\x00\x02",
    b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01",
    b"GIF89a\xff\xff\xff\xff\xf7",
    b"II*\x00\x08\x00\x00\x00\xff\xff",
    b"BM\xff\xff\xff\x7f\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00",
    b"%PDF-1.7\n",
    b"<svg xmlns='http://www.w3.org/2000/svg'>",
)


def hostile_files(honest: dict[str, bytes], count: int = 500, seed: int = 7) -> Iterator[tuple[str, bytes]]:
    """Yield ``count`` (name, bytes).

    Args:
        honest: Signed files by media type.
        count: How many to make.
        seed: Of the random choices.
    """
    rng = np.random.default_rng(seed)
    fixed = [*_bombs(), *_strings()]
    yield from fixed[:count]
    kinds = sorted(honest)
    for number in range(count - len(fixed)):
        kind = kinds[number % len(kinds)]
        data = honest[kind]
        match number % 5:
            case 0:
                yield f"cut {kind} {number}", data[: int(rng.integers(1, len(data)))]
            case 1:
                yield f"flips {kind} {number}", _flipped(data, int(rng.integers(1, 40)), rng)
            case 2:
                yield f"splice {kind} {number}", _spliced(data, honest[kinds[(number + 1) % len(kinds)]], rng)
            case 3:
                yield f"lengths {kind} {number}", _lying_lengths(data, rng)
            case _:
                frame = FRAMES[number // 5 % len(FRAMES)]
                yield f"frame {number}", frame + rng.bytes(int(rng.integers(0, 4000)))


def _flipped(data: bytes, flips: int, rng: np.random.Generator) -> bytes:
    damaged = bytearray(data)
    for at in rng.integers(0, min(len(data), 40_000), flips):
        damaged[at] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def _spliced(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(0, len(data)))
    start = int(rng.integers(0, len(other)))
    return data[:at] + other[start : start + int(rng.integers(1, 5000))] + data[at:]


def _lying_lengths(data: bytes, rng: np.random.Generator) -> bytes:
    damaged = bytearray(data)
    for _ in range(3):
        at = int(rng.integers(0, max(1, min(len(data) - 4, 4000))))
        damaged[at : at + 4] = bytes(rng.choice([0, 1, 0x7F, 0xFF], 4).astype(np.uint8))
    return bytes(damaged)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def _bombs() -> Iterator[tuple[str, bytes]]:
    png, end = b"\x89PNG\r\n\x1a\n", _chunk(b"IEND", b"")
    for side in (16_000, 60_000, 2**31 - 1):
        header = _chunk(b"IHDR", side.to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00")
        yield f"png of {side} squared", png + header + _chunk(b"IDAT", zlib.compress(bytes(100_000))) + end
    header = _chunk(b"IHDR", (64).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00")
    yield "png text bomb", png + header + _chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(50_000_000))) + end
    for depth in (100, 1000, 20_000):
        boxes = b"".join((8 * (depth - i)).to_bytes(4, "big") + b"moov" for i in range(depth))
        yield f"{depth} nested moov", b"\0\0\0\x10ftypisom\0\0\0\0" + boxes
        jumbf = b"".join((8 * (depth - i)).to_bytes(4, "big") + b"jumb" for i in range(depth))
        yield f"{depth} nested jumb", png + header + _chunk(b"caBX", jumbf) + end
    yield "box of length one", b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x01uuid" + bytes(64)
    yield "riff of riffs", b"RIFF\x00\x40\x00\x00WAVE" + b"LIST\x04\x00\x00\x00RIFF" * 1300
    yield "selector flood", ("\ufeff" + "\ufe00" * 300_000).encode()
    magic = "".join(chr(0xFE00 + b) if b < 16 else chr(0xE0100 + b - 16) for b in b"C2PATXT\0")
    yield "a thousand wrappers", ("\ufeff" + magic).encode() * 1000
    yield "combining marks", ("a" + "\u0301" * 200_000).encode()


def _strings() -> Iterator[tuple[str, bytes]]:
    for number, text in enumerate(INJECTIONS):
        yield text, text.encode("utf-8", "surrogatepass")
        body = b"Title\0" + text.encode("utf-8")[:2000]
        yield f"png title {number}", b"\x89PNG\r\n\x1a\n" + _chunk(b"tEXt", body) + _chunk(b"IEND", b"")
