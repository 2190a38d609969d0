"""A second opinion on loudness: FFmpeg's ebur128 filter through PyAV."""

from __future__ import annotations

import av
import av.filter
import numpy as np

from gensafe.core.types import Audio
from gensafe.media.audio import LAYOUTS


def reference_loudness(sound: Audio) -> tuple[float, float]:
    """Integrated loudness (LUFS) and true peak (dBTP) by FFmpeg."""
    layout = LAYOUTS[sound.samples.shape[0]]
    graph = av.filter.Graph()
    source = graph.add(
        "abuffer",
        f"sample_rate={sound.rate}:sample_fmt=flt:channel_layout={layout}:time_base=1/{sound.rate}",
    )
    meter = graph.add("ebur128", "peak=true:metadata=1:framelog=quiet")
    sink = graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(sound.samples.T).reshape(1, -1), format="flt", layout=layout
    )
    frame.sample_rate, frame.pts = sound.rate, 0
    graph.push(frame)
    graph.push(None)
    level, peak = float("-inf"), 0.0
    while True:
        try:
            out = graph.pull()
        except (av.error.EOFError, av.error.BlockingIOError):
            break
        data = dict(out.metadata)
        level = float(data.get("lavfi.r128.I", level))
        peaks = [float(v) for k, v in data.items() if "true_peak" in k]
        peak = max([peak, *peaks])
    return level, 20 * float(np.log10(max(peak, 1e-9)))
