"""Which encoder for the default MP4: size, fidelity and time of the candidates on small synthetic clips.

Usage: python -m benchmarks.serving.video_codecs    (prints a table, writes results/serving/video_codecs.json)
"""

from __future__ import annotations

import io
import json
import sys
import time
from fractions import Fraction
from importlib.metadata import version

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.common.places import RESULTS

RESULT = RESULTS / "serving" / "video_codecs.json"
CANDIDATES: dict[str, dict[str, str]] = {
    "libx264": {"crf": "18"},
    "libvpx-vp9": {"crf": "18", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "0"},
    "libsvtav1": {"crf": "18", "preset": "8", "svtav1-params": "lp=1"},
    "mpeg4": {"qscale": "2"},
}


def clip(side: int) -> NDArray[np.uint8]:
    """Sixteen frames of a red square moving over blue ground with faint noise."""
    frames = np.full((16, side, side, 3), (40, 90, 200), np.int16)
    for i, frame in enumerate(frames):
        frame[side // 3 : side // 2, 10 + 4 * i : 10 + 4 * i + side // 4] = (220, 30, 30)
    noise = np.random.default_rng(0).integers(-2, 3, frames.shape)
    return np.asarray(np.clip(frames + noise, 0, 255), np.uint8)


def encode(frames: NDArray[np.uint8], codec: str) -> bytes:
    """One MP4 at 8 frames a second, one thread."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=Fraction(8), options=CANDIDATES[codec])
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        stream.codec_context.thread_count = 1
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return out.getvalue()


def main() -> int:
    """Measure every candidate the FFmpeg build has."""
    rows = []
    for side in (128, 256):
        frames = clip(side)
        for codec in CANDIDATES:
            if codec not in av.codecs_available:
                continue
            begin = time.process_time()
            data = encode(frames, codec)
            spent = time.process_time() - begin
            with av.open(io.BytesIO(data), "r") as container:
                shown = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
            error = float(np.mean((shown.astype(np.float64) - frames) ** 2))
            same = data == encode(frames, codec)
            rows.append(
                {
                    "encoder": codec,
                    "side": side,
                    "bytes": len(data),
                    "psnr_db": round(10 * np.log10(255**2 / error), 2),
                    "cpu_ms": round(1000 * spent, 1),
                    "same bytes twice": same,
                }
            )
            print("  ".join(f"{k} {v}" for k, v in rows[-1].items()))
    RESULT.parent.mkdir(exist_ok=True)
    document = {"benchmark": "video_codecs", "av": version("av"), "options": CANDIDATES, "rows": rows}
    RESULT.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
