"""What `gensafe classify` costs on films and sounds of several lengths: processor time, peak memory.

Usage: python -m benchmarks.long_media [--seconds 10 60] [--sizes 720p30 1080p30 sound] [--out FILE]

Films are made of shots of a real film (../shared/data/video), in random order, mirrored, brightened, panned and with
noise, so that hardly a frame comes twice; sounds of a real recording's pieces. Each is classified by the command, in a
process of its own, under the default policy. The time of a film of one frame (loading the models) is measured too and
taken off; `CPU s a second` is the rest. Writes results/long_media/long_media.json and docs/long-media.png.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.common.places import RESULTS, ROOT, SHARED
from gensafe.core.types import Audio, Video
from gensafe.media import decode, encode

RESULT: Final = RESULTS / "long_media" / "long_media.json"
PLOT: Final = ROOT / "docs" / "long-media.png"
SIZES: Final = {"720p30": (720, 1280), "1080p30": (1080, 1920)}
FPS: Final = 30
SOUND: Final = "sound"


def make_film(path: Path, size: tuple[int, int], seconds: int, seed: int = 0) -> None:
    """Write a film of shots of one to five seconds; at least one frame."""
    source = decode((SHARED / "video" / "bigbuckbunny.mp4").read_bytes())
    assert isinstance(source, Video)
    rng = np.random.default_rng(seed)
    height, width = size
    with av.open(str(path), "w") as container:
        track: Any = container.add_stream("libx264", rate=FPS, options={"crf": "23", "preset": "veryfast"})
        track.height, track.width, track.pix_fmt = height, width, "yuv420p"
        done, count = 0, max(1, seconds * FPS)
        while done < count:
            length = min(int(rng.integers(FPS, 5 * FPS)), count - done)
            for pixels in _shot(source.frames, length, rng):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame = frame.reformat(width=width, height=height, format="yuv420p", dst_colorspace="ITU709")
                frame.pts, frame.time_base = done, Fraction(1, FPS)
                container.mux(track.encode(frame))
                done += 1
        container.mux(track.encode(None))


def _shot(frames: NDArray[np.uint8], length: int, rng: np.random.Generator) -> Any:
    """Frames of one shot: a window of 7/8 of the picture that moves over it, another light, a little noise."""
    at = int(rng.integers(0, len(frames)))
    mirrored, gain = bool(rng.integers(2)), float(rng.uniform(0.8, 1.2))
    rows, columns = frames.shape[1] * 7 // 8, frames.shape[2] * 7 // 8
    top, speed = int(rng.integers(0, frames.shape[1] - rows)), float(rng.uniform(0.2, 1.0))
    grain = rng.integers(-4, 5, (rows, columns, 1), dtype=np.int16)
    for k in range(length):
        left = int((frames.shape[2] - columns) * min(1.0, speed * k / length))
        picture = frames[(at + k) % len(frames), top : top + rows, left : left + columns]
        picture = picture[:, ::-1] if mirrored else picture
        yield np.clip(picture * np.float32(gain) + np.roll(grain, 7 * k, axis=1), 0, 255).astype(np.uint8)


def make_sound(path: Path, seconds: int, seed: int = 0) -> None:
    """Write a FLAC of pieces of a real recording in random order, in stereo at 48 kHz."""
    source = decode((SHARED / "video" / "bigbuckbunny.mp4").read_bytes())
    assert isinstance(source, Video)
    assert source.audio is not None
    rng = np.random.default_rng(seed)
    piece, rate = source.audio.samples, source.audio.rate
    parts, count = [], 0
    while count < seconds * rate:
        start = int(rng.integers(0, piece.shape[1] - rate))
        parts.append(piece[:, start : start + rate] * np.float32(rng.uniform(0.3, 1.0)))
        count += parts[-1].shape[1]
    samples = np.concatenate(parts, axis=1)[:2, : max(1, seconds * rate)]
    path.write_bytes(encode(Audio(np.ascontiguousarray(samples), rate), "audio/flac"))


def classify(path: Path) -> dict[str, Any]:
    """Run the command once: its verdict, processor time and peak memory (the larger of it and its worker)."""
    begin = time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([sys.executable, "-m", "gensafe", "classify", str(path), "--json"], stdout=out)
        _, status, used = os.wait4(process.pid, 0)  # with what its workers used
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        verdict = json.loads(out.read() or b"{}")
    return {
        "action": verdict.get("action", ""),
        "errors": verdict.get("errors", []),
        "CPU s": round(used.ru_utime + used.ru_stime, 2),
        "wall s": round(time.monotonic() - begin, 1),
        "peak MB": round(used.ru_maxrss / 1024),
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, nargs="+", default=[10, 60, 600])
    parser.add_argument("--sizes", nargs="+", default=[*SIZES, SOUND], choices=[*SIZES, SOUND])
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args(arguments)
    known = json.loads(args.out.read_text()) if args.out.exists() else {}
    rows = {(r["medium"], r["seconds"]): r for r in known.get("rows", [])}
    with tempfile.TemporaryDirectory() as folder:
        for name in args.sizes:
            for seconds in [0, *args.seconds]:
                path = Path(folder) / ("long.flac" if name == SOUND else "long.mp4")
                if name == SOUND:
                    make_sound(path, seconds)
                else:
                    make_film(path, SIZES[name], seconds)
                row = {"medium": name, "seconds": seconds, **classify(path)}
                if seconds:
                    start = rows[name, 0]["CPU s"]
                    row["CPU s a second"] = round((row["CPU s"] - start) / seconds, 3)
                rows[name, seconds] = row
                print(json.dumps(row), flush=True)
    about = {"benchmark": "long_media", "machine": f"{platform.machine()}, Python {platform.python_version()}"}
    about["load at the end"] = f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    args.out.parent.mkdir(parents=True, exist_ok=True)
    ordered = [rows[key] for key in sorted(rows)]
    args.out.write_text(json.dumps({**about, "rows": ordered}, indent=1) + "\n")
    if args.out == RESULT:
        plot(ordered)
    return 0


def plot(rows: list[dict[str, Any]]) -> None:
    """Processor time and peak memory over the length."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    for name in dict.fromkeys(r["medium"] for r in rows):
        found = [r for r in rows if r["medium"] == name and r["seconds"]]
        lengths = [r["seconds"] for r in found]
        left.plot(lengths, [r["CPU s"] for r in found], "o-", label=name)
        right.plot(lengths, [r["peak MB"] for r in found], "o-", label=name)
    for axes, title in ((left, "processor time, s"), (right, "peak memory, MB")):
        axes.set_xscale("log")
        axes.set_xlabel("length, s")
        axes.set_title(title)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    left.legend()
    figure.tight_layout()
    figure.savefig(PLOT, dpi=110)


if __name__ == "__main__":
    sys.exit(main())
