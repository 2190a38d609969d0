"""Mutate small files of every container and read them: only GenSafe's own errors may come out, in bounded time.

    python -m tests.fuzz.media --count 20000 --seed 1

Runs in this process with an alarm for each file, so that a fault shows its traceback; a decoder that crashes ends the
run, and the last line says which mutation it was. Every mutation follows from (seed, number): ``--only N`` repeats one.
"""

from __future__ import annotations

import argparse
import io
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import numpy as np
from PIL import Image as PilImage

from gensafe.core.errors import GensafeError, MediaLimitExceeded, UnreadableMedia, UnsupportedMedia
from gensafe.core.types import Audio, Image, Video
from gensafe.media import Limits, encode, oddities, read_parts, sniff

SECONDS = 10  # a small file that takes longer hangs
MEMORY = 4 << 30
LIMITS = Limits(max_pixels=1_000_000, max_frames=500, max_decoded_bytes=64 << 20, max_duration_s=60.0)
EXPECTED = (UnreadableMedia, UnsupportedMedia, MediaLimitExceeded)
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF)


def seeds() -> dict[str, bytes]:
    """One small file of every container."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    tone = Audio((0.3 * np.sin(np.arange(4000) / 9)).astype(np.float32)[None], 16_000)
    clip = Video(np.stack([np.roll(pixels, i, axis=1) for i in range(4)]), 8.0, tone)
    found = {"text": "Grüße, words.".encode(), "utf-16": "words \u00e9".encode("utf-16")}
    for medium, kinds in (
        (Image(pixels), ("image/png", "image/jpeg", "image/webp")),
        (tone, ("audio/wav", "audio/mpeg", "audio/flac", "audio/ogg")),
        (clip, ("video/mp4", "video/webm")),
    ):
        found |= {kind: encode(medium, kind) for kind in kinds}
    picture = PilImage.fromarray(pixels)
    clear = picture.copy()
    clear.putalpha(PilImage.fromarray(pixels[..., 0]))
    exif = PilImage.Exif()
    exif[0x0112], exif[0x011A] = 6, 72.0
    for name, kind, source, options in (
        ("gif", "GIF", picture, {"save_all": True, "append_images": [picture.rotate(90)] * 2, "duration": 50}),
        ("apng", "PNG", clear, {"save_all": True, "append_images": [clear.rotate(90)], "duration": 50}),
        ("png with metadata", "PNG", clear, {"exif": exif, "dpi": (72, 72)}),
        ("jpeg with metadata", "JPEG", picture, {"exif": exif, "comment": b"words", "progressive": True}),
        ("mpo", "MPO", picture, {"save_all": True, "append_images": [picture.rotate(90)]}),
        ("tiff", "TIFF", clear, {"compression": "tiff_lzw", "dpi": (72, 72), "exif": exif}),
        ("pages", "TIFF", picture, {"save_all": True, "append_images": [picture], "big_tiff": True}),
        ("avif", "AVIF", picture, {}),
        ("bmp", "BMP", picture, {}),
        ("webp animation", "WEBP", clear, {"save_all": True, "append_images": [clear.rotate(90)], "exif": exif}),
    ):
        out = io.BytesIO()
        source.save(out, kind, **options)
        found[name] = out.getvalue()
    for muxer, codec in (("adts", "aac"), ("aiff", "pcm_s16be"), ("au", "pcm_s16be"), ("caf", "pcm_s16be")):
        found[muxer] = sound(muxer, codec)
    for muxer, codec in (("w64", "pcm_s16le"), ("matroska", "aac"), ("avi", "pcm_s16le"), ("mov", "aac")):
        found[muxer] = sound(muxer, codec)
    for muxer, codec in (("mpegts", "aac"), ("flv", "aac"), ("asf", "wmav2"), ("ogg", "flac")):
        found[f"{muxer} {codec}"] = sound(muxer, codec)
    found["tagged flac"] = b"ID3\4\0\0\0\0\0\x14" + bytes(20) + found["audio/flac"]
    return found


def sound(muxer: str, codec: str) -> bytes:
    """A tone of 0.3 s."""
    out = io.BytesIO()
    with av.open(out, "w", format=muxer) as container:
        track = container.add_stream(codec, rate=44_100, layout="mono")
        track.bit_rate = 128_000
        values = (8000 * np.sin(np.arange(13_000) / 9)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(values, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 44_100, 0, Fraction(1, 44_100)
        size = track.codec_context.frame_size or 1024
        resampler = av.AudioResampler(track.format.name, "mono", 44_100, frame_size=size)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(track.encode(part))
        container.mux(track.encode(None))
    return out.getvalue()


def mutate(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """One to four changes: bits, bytes, numbers, cuts, doublings, swaps, pieces of another file."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        if len(out) < 8:
            break
        at, size = int(rng.integers(len(out))), int(rng.integers(1, 65))
        if rng.random() < 0.5:
            at = int(at * rng.random() ** 2)  # headers are in front
        match int(rng.integers(10)):
            case 0:
                out[at] ^= 1 << int(rng.integers(8))
            case 1:
                out[at] = INTERESTING[int(rng.integers(len(INTERESTING)))]
            case 2:
                out[at : at + 4] = int(rng.integers(1 << 32)).to_bytes(4, "big")
            case 3:
                out[at : at + 4] = (b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\0\0\0\1")[int(rng.integers(4))]
            case 4:
                del out[at:]
            case 5:
                del out[at : at + size]
            case 6:
                out[at:at] = out[at : at + size]
            case 7:
                out[at:at] = rng.bytes(size)
            case 8:
                to = int(rng.integers(len(out)))
                out[at : at + size], out[to : to + size] = out[to : to + size], out[at : at + size]
            case _:
                start = int(rng.integers(max(1, len(other))))
                out[at : at + size] = other[start : start + size]
    return bytes(out)


def cases(seed: int, numbers: Iterator[int] | range) -> Iterator[tuple[int, str, bytes]]:
    """(number, name of the file, mutated bytes)."""
    files = seeds()
    names = sorted(files)
    for number in numbers:
        rng = np.random.default_rng((seed, number))
        name, other = names[number % len(names)], names[int(rng.integers(len(names)))]
        yield number, name, mutate(files[name], files[other], rng)


def attempt(data: bytes) -> str:
    """Read one file: "read", or the name of the expected error. Anything else is raised."""
    try:
        read_parts(data, limits=LIMITS)
    except EXPECTED as error:
        if not error.message or any(sign in error.message for sign in ("b'", 'b"', "object at", "\\x")):
            raise AssertionError(f"a message nobody can read: {error.message!r}") from error
        return type(error).__name__
    finally:
        for look in (sniff, oddities):
            _quietly(look, data)
    return "read"


def _quietly(look: Callable[[bytes], object], data: bytes) -> None:
    try:
        look(data)
    except EXPECTED:
        return


def run(count: int, seed: int, only: int | None = None, *, say: Callable[[str], None] = print) -> int:
    """Read ``count`` mutations; the number of faults."""
    av.logging.set_level(None)
    faults, results, slowest = 0, Counter[str](), (0.0, -1)
    signal.signal(signal.SIGALRM, _too_long)
    for number, name, data in cases(seed, range(count) if only is None else range(only, only + 1)):
        begin = time.perf_counter()
        signal.alarm(SECONDS)
        try:
            results[attempt(data)] += 1
        except (Exception, GensafeError) as error:
            faults += 1
            say(f"{number} ({name}): {type(error).__name__}: {error}")
            say("".join(traceback.format_tb(error.__traceback__)[-3:]))
        finally:
            signal.alarm(0)
        slowest = max(slowest, (time.perf_counter() - begin, number))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    say(
        f"{count} files, {faults} faults, {dict(results)}, slowest {slowest[0]:.2f} s (number {slowest[1]}), {peak} MiB"
    )
    return faults


def _too_long(*_: object) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, metavar="N", help="mutations (default 20000)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the mutations (default 1)")
    parser.add_argument("--only", type=int, metavar="N", help="repeat this one")
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    return 1 if run(args.count, args.seed, args.only) else 0


if __name__ == "__main__":
    sys.exit(main())
