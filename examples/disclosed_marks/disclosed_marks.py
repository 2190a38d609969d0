"""Find the marks of a disclosed watermark epoch without the service that made them (docs/disclosure.md).

    python disclosed_marks.py BUNDLE --log-key LOG.KEY FILE... [--original FILE] [--checker standalone.py] [--json]

BUNDLE is an export of the log that reaches the entry ``key.disclosed`` and contains the records in question. It is
checked first by ``standalone.py``, which is one file and imports nothing else of GenSafe. This program uses the mark
detectors only (``gensafe_watermark``). Pictures, sounds and films; a text's mark needs its model's tokenizer and is
not looked for.

A mark counts where all of this holds:
1. the key was committed to in the log, and the published one is that key;
2. the mark names its key's own epoch and a record that the log released between commitment and disclosure;
3. the file is the released one, byte by byte, or looks or sounds like it (--original, whose digest the log holds).
Whoever marks after the disclosure fails 2 or 3; so does whoever copies a mark.

Exit status: 0 every file counts, 1 some file's mark does not count, 2 no mark found, 3 bundle or file not usable,
4 a mark of a logged record on other bytes, and the released file was not given; the first of 3, 1, 4, 2, 0 of any file.
"""

import argparse
import hashlib
import importlib.util
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from PIL import Image

COMMITMENT = b"gensafe/watermark/commitment/v1\0"
RECORD_BITS = 52  # of the payload; the 4 above are the epoch
SIDE = 32  # pixels: what pictures are compared at
FRAMES = 8  # of a film, evenly
# Least correlation. Copies reached 0.999 (JPEG 50, three quarters of the size, MP3 at 64 kbit/s), other pictures and
# sounds of the same model at most 0.62 (n = 4); chosen between.
ALIKE = 0.97


class Unusable(Exception):
    """The bundle or a file cannot be used."""


@dataclass
class Epoch:
    """A committed and published key. Indexes of its two entries in the log bound the records that count."""

    number: int
    key_id: str
    master: bytes
    committed: int
    disclosed: int

    def key(self, medium):
        info = f"gensafe/watermark/v1/{medium}/{self.number}".encode()
        return HKDF(hashes.SHA256(), 32, None, info).derive(self.master)


def read_bundle(folder, log_key, checker):
    """The entries of a checked bundle, by index."""
    spec = importlib.util.spec_from_file_location("standalone", checker)
    standalone = importlib.util.module_from_spec(spec)
    sys.modules["standalone"] = standalone  # its dataclasses look themselves up
    spec.loader.exec_module(standalone)
    report = standalone.verify(folder, standalone.read_keys(log_key))
    if report.status != 0:
        raise Unusable(f"the bundle is not valid: {report.conclusion}; {report.findings[:3]}")
    leaves = (json.loads(line) for line in (folder / "entries.jsonl").read_bytes().splitlines())
    return {leaf["index"]: leaf["entry"] for leaf in leaves}


def read_epochs(entries):
    """The published epochs whose keys are those committed to; of a key published twice, the first time bounds."""
    found = {}
    for index, entry in sorted(entries.items()):
        if entry["event"] != "key.disclosed" or entry["key"] in found:
            continue
        master = bytes.fromhex(entry["key"])
        committed = entries.get(entry["committed_index"], {})
        promised = "sha256:" + hashlib.sha256(COMMITMENT + master).hexdigest()
        same = all(committed.get(name) == entry[name] for name in ("key_id", "epoch"))
        if committed.get("event") != "key.committed" or committed.get("commitment") != promised or not same:
            raise Unusable(f"the key that entry {index} publishes is not the one that was committed to")
        found[entry["key"]] = Epoch(entry["epoch"], entry["key_id"], master, entry["committed_index"], index)
    return list(found.values())


def decode(data):
    """(medium, pixels | (samples, rate) | (frames, fps))."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return "image", np.asarray(picture.convert("RGB"))
    except OSError:
        pass
    try:
        with av.open(io.BytesIO(data)) as container:
            if container.streams.video:
                stream = container.streams.video[0]
                frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
                return "video", (frames, float(stream.average_rate))
            to_float = av.AudioResampler("fltp")
            pieces = [p.to_ndarray() for f in container.decode(audio=0) for p in to_float.resample(f)]
            return "audio", (np.concatenate(pieces, 1).astype(np.float32), container.streams.audio[0].rate)
    except (av.error.FFmpegError, IndexError, ValueError) as error:
        raise Unusable(f"cannot be decoded: {error}") from None


def detect(medium, content, key):
    """The payload under ``key``, or None."""
    from gensafe_watermark import audio, image, video

    if medium == "image":
        return image.detect(content, key).payload
    return audio.detect(*content, key).payload if medium == "audio" else video.detect(content[0], key).payload


def small(medium, content):
    """A coarse view of content, for comparing: colours of tiles, or loudness in bands over time."""
    if medium == "audio":
        mono = content[0].mean(0)
        mono = mono[: len(mono) // (SIDE * SIDE) * SIDE * SIDE].reshape(SIDE, -1)
        bands = np.abs(np.fft.rfft(mono, axis=1))[:, 1:]
        return np.log1p(np.stack([b.mean(1) for b in np.array_split(bands, SIDE, axis=1)]))
    frames = content[0] if medium == "video" else content[None]
    chosen = frames[np.linspace(0, len(frames) - 1, FRAMES).astype(int)] if medium == "video" else frames
    return np.stack([np.asarray(Image.fromarray(f).resize((SIDE, SIDE)), float) for f in chosen])


def alike(left, right):
    """Whether two decoded files show or sound the same as a whole."""
    if left[0] != right[0]:
        return False
    a, b = (small(*each).ravel() - small(*each).mean() for each in (left, right))
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return scale > 0 and float(a @ b) / scale >= ALIKE


def judge(data, epochs, entries, original):
    """(status, sentence) for one file."""
    decoded = decode(data)
    for epoch in epochs:
        payload = detect(*decoded, epoch.key(decoded[0]))
        if payload is None:
            continue
        value = int.from_bytes(payload, "big")
        record, named = f"{value & ((1 << RECORD_BITS) - 1):013x}", value >> RECORD_BITS
        released = [
            (i, e)
            for i, e in entries.items()
            if e["event"] == "generation.released"
            and e["record_id"] == record
            and e["watermark"]["payload"] == payload.hex()
        ]
        if named != epoch.number or not released:
            return (
                1,
                f"a mark of epoch {epoch.number} that names record {record}, which the log did not release under it",
            )
        index, entry = released[0]
        if not epoch.committed < index < epoch.disclosed:
            between = f"not between {epoch.committed} and {epoch.disclosed}"
            return 1, f"record {record} is entry {index}, {between}: it does not count"
        if "sha256:" + hashlib.sha256(data).hexdigest() == entry["output"]["digest"]:
            return 0, f"record {record}, entry {index}: the released file itself, logged before the key was published"
        about = f"a mark of record {record}, entry {index}, on other bytes than were released"
        if original is None:
            return 4, f"{about}: anybody could have put it there since; give the released file (--original)"
        if "sha256:" + hashlib.sha256(original).hexdigest() != entry["output"]["digest"]:
            return 3, f"{about}; --original is not the file that the log names"
        if not alike(decoded, decode(original)):
            return 1, f"{about}, and its content is another: the mark was copied or forged"
        return 0, f"{about}, with the content of the released file"
    return 2, "no mark of a disclosed epoch"


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Find the marks of a disclosed watermark epoch.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument(
        "--log-key", type=Path, required=True, help="from the operator or a witness, not from the bundle"
    )
    parser.add_argument("--original", type=Path, help="the released file, to compare with")
    parser.add_argument("--checker", type=Path, default=Path(__file__).with_name("standalone.py"))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(arguments)
    found = []
    try:
        entries = read_bundle(args.bundle, args.log_key, args.checker)
        epochs = read_epochs(entries)
        original = args.original.read_bytes() if args.original else None
        if not epochs:
            raise Unusable("no key was disclosed in this bundle")
    except (Unusable, OSError) as error:
        print(f"disclosed_marks: {error}", file=sys.stderr)
        return 3
    for path in args.files:
        try:
            found.append((str(path), *judge(path.read_bytes(), epochs, entries, original)))
        except (Unusable, OSError) as error:
            found.append((str(path), 3, str(error)))
    if args.json:
        print(json.dumps([{"file": f, "status": s, "text": t} for f, s, t in found]))
    else:
        for name, _, text in found:
            print(f"{name}: {text}")
    return next((status for status in (3, 1, 4, 2) if any(s == status for _, s, _ in found)), 0)


if __name__ == "__main__":
    sys.exit(main())
