"""The 37 audio attacks: codecs, filters, noise, cuts, time and frequency scaling, and chains of them.

Parameters follow the adopted list of the project's research (after AudioSeal, AudioMarkBench and RAW-Bench). Codecs and
time-scale filters run through PyAV (FFmpeg). Vorbis uses FFmpeg's own encoder; the pitch shift is resampling
followed by FFmpeg's ``atempo`` (WSOLA), because the wheels of PyAV carry neither libvorbis nor rubberband.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from fractions import Fraction
from math import gcd

import av
import av.filter
import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfiltfilt

Samples = NDArray[np.float32]
Attack = Callable[[Samples, int, np.random.Generator], Samples]


def resample(x: Samples, source: int, target: int) -> Samples:
    """Polyphase resampling along the last axis."""
    if source == target:
        return x
    g = gcd(int(source), int(target))
    return np.asarray(resample_poly(x, int(target) // g, int(source) // g, axis=-1), np.float32)


def _layout(channels: int) -> str:
    return {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[channels]


def _frame(x: Samples, rate: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(x), format="fltp", layout=_layout(x.shape[0]))
    frame.sample_rate = rate
    frame.time_base = Fraction(1, rate)
    frame.pts = 0
    return frame


def encode(x: Samples, rate: int, codec: str, container: str, bit_rate: int) -> bytes:
    """Encode (channels, n) to a file in memory; raises ValueError where the encoder cannot take the rate."""
    buffer = io.BytesIO()
    options = {"strict": "experimental"} if codec == "vorbis" else {}
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout=_layout(x.shape[0]), options=options)
        assert isinstance(stream, av.AudioStream)
        stream.bit_rate = bit_rate
        resampler = av.AudioResampler(stream.codec_context.format, _layout(x.shape[0]), rate)
        for frame in [*resampler.resample(_frame(np.clip(x, -1, 1), rate)), *resampler.resample(None)]:
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def decode(data: bytes) -> tuple[Samples, int]:
    """Decode the first audio stream to (channels, n) float32."""
    chunks, rate = [], 0
    with av.open(io.BytesIO(data), "r") as source:
        resampler = av.AudioResampler("fltp")
        for frame in source.decode(audio=0):
            rate = frame.sample_rate
            chunks += [out.to_ndarray() for out in resampler.resample(frame)]
        chunks += [out.to_ndarray() for out in resampler.resample(None)]
    return np.concatenate(chunks, axis=1).astype(np.float32), rate


def codec(name: str, container: str, bit_rate: int, rate: int | None = None, channels: int | None = None) -> Attack:
    """One generation of a lossy codec, back at the rate it came in."""

    def attack(x: Samples, sr: int, rng: np.random.Generator) -> Samples:
        source = np.atleast_2d(x)
        if channels and source.shape[0] != channels:
            source = np.repeat(source.mean(0, keepdims=True), channels, 0)
        used = rate or sr
        y, got = decode(encode(resample(source, sr, used), used, name, container, bit_rate))
        y = resample(y, got, sr)
        return y if np.ndim(x) == 2 else y.mean(0)

    return attack


def avfilter(*steps: tuple[str, str]) -> Attack:
    """A chain of FFmpeg audio filters; (name, arguments) each."""

    def attack(x: Samples, sr: int, rng: np.random.Generator) -> Samples:
        source = np.atleast_2d(x).astype(np.float32)
        graph = av.filter.Graph()
        nodes = [
            graph.add_abuffer(
                template=None, sample_rate=sr, format="fltp", layout=_layout(source.shape[0]), time_base=Fraction(1, sr)
            )
        ]
        nodes += [graph.add(name, arguments) for name, arguments in steps]
        # the graph may change the sample format on the way
        nodes += [graph.add("aformat", f"sample_fmts=fltp:sample_rates={sr}"), graph.add("abuffersink")]
        for a, b in itertools.pairwise(nodes):
            a.link_to(b)
        graph.configure()
        nodes[0].push(_frame(source, sr))
        nodes[0].push(None)
        chunks = []
        while True:
            try:
                pulled = nodes[-1].pull()
            except (av.FFmpegError, StopIteration):
                break
            assert isinstance(pulled, av.AudioFrame)
            chunks.append(pulled.to_ndarray())
        y = np.concatenate(chunks, axis=1).astype(np.float32, copy=False)
        return y if np.ndim(x) == 2 else y[0]

    return attack


def resampled(rate: int) -> Attack:
    """Down to ``rate`` and back, where that is lower."""
    return lambda x, sr, rng: resample(resample(x, sr, rate), rate, sr)[..., : x.shape[-1]] if rate < sr else x


def _speed(factor: float) -> Attack:
    """Play ``factor`` times faster; pitch rises with it."""
    return lambda x, sr, rng: resample_poly(x, 1000, round(1000 * factor), axis=-1).astype(np.float32)


def noise(snr_db: float, pink: bool = False) -> Attack:
    """White or pink noise at a signal-to-noise ratio of the whole clip."""

    def attack(x: Samples, sr: int, rng: np.random.Generator) -> Samples:
        n = rng.normal(size=x.shape)
        if pink:
            spectrum = np.fft.rfft(n, axis=-1)
            spectrum /= np.sqrt(np.maximum(1, np.arange(spectrum.shape[-1])))
            n = np.fft.irfft(spectrum, x.shape[-1], axis=-1)
        power = np.mean(x**2) + 1e-20
        return np.asarray(x + n * np.sqrt(power / np.mean(n**2) / 10 ** (snr_db / 10)), np.float32)

    return attack


def _filter(kind: str, *hz: float) -> Attack:
    def attack(x: Samples, sr: int, rng: np.random.Generator) -> Samples:
        inside = [f for f in hz if f < 0.49 * sr]
        if not inside:
            return x
        shape = kind if len(inside) == len(hz) else "high"
        sos = butter(5, inside if len(inside) > 1 else inside[0], shape, fs=sr, output="sos")
        return np.asarray(sosfiltfilt(sos, x, axis=-1), np.float32)

    return attack


def _echo(delay_s: float, gain: float) -> Attack:
    def attack(x: Samples, sr: int, rng: np.random.Generator) -> Samples:
        d = int(delay_s * sr)
        y = x.copy()
        y[..., d:] += gain * x[..., :-d]
        return y

    return attack


def _segment(start_s: float, length_s: float = 0.0) -> Attack:
    def attack(x: Samples, sr: int, rng: np.random.Generator) -> Samples:
        a = int(start_s * sr)
        return x[..., a : a + int(length_s * sr)] if length_s else x[..., a:]

    return attack


def _cuts(count: int, length_s: float) -> Attack:
    def attack(x: Samples, sr: int, rng: np.random.Generator) -> Samples:
        n = x.shape[-1]
        keep = np.ones(n, bool)
        for start in rng.integers(0, max(1, n - int(length_s * sr)), count):
            keep[start : start + int(length_s * sr)] = False
        return x[..., keep]

    return attack


def _mute(share: float) -> Attack:
    def attack(x: Samples, sr: int, rng: np.random.Generator) -> Samples:
        n = x.shape[-1]
        y, length = x.copy(), int(n * share)
        start = int(rng.integers(0, n - length))
        y[..., start : start + length] = 0
        return y

    return attack


def _clip(x: Samples, sr: int, rng: np.random.Generator) -> Samples:
    return np.asarray(np.clip(x / max(1e-9, float(np.abs(x).max())) * 2, -1, 1), np.float32)


def _smooth(x: Samples, sr: int, rng: np.random.Generator) -> Samples:
    kernel = np.ones(6) / 6
    return np.apply_along_axis(lambda c: np.convolve(c, kernel, "same"), -1, x).astype(np.float32)


def _pitch(factor: float) -> Attack:
    tempo = avfilter(("atempo", f"{1 / factor:.6f}"))
    return lambda x, sr, rng: tempo(_speed(factor)(x, sr, rng), sr, rng)


def chain(*steps: Attack) -> Attack:
    """Attacks one after the other."""

    def attack(x: Samples, sr: int, rng: np.random.Generator) -> Samples:
        for step in steps:
            x = step(x, sr, rng)
        return x

    return attack


def attacks() -> dict[str, Attack]:
    """Name -> attack, in the order of the tables."""
    mp3 = {k: codec("libmp3lame", "mp3", k * 1000) for k in (128, 64, 32)}
    return {
        "none": lambda x, sr, rng: x,
        "mp3_128k": mp3[128],
        "mp3_64k": mp3[64],
        "mp3_32k": mp3[32],
        "aac_64k": codec("aac", "adts", 64_000),
        "vorbis_64k": codec("vorbis", "ogg", 64_000, channels=2),
        "opus_32k": codec("libopus", "ogg", 32_000, 48_000),
        "opus_16k": codec("libopus", "ogg", 16_000, 48_000),
        "resample16k": resampled(16_000),
        "resample8k": resampled(8_000),
        "quant8bit": lambda x, sr, rng: (np.round(x * 127) / 127).astype(np.float32),
        "gain0.3": lambda x, sr, rng: x * np.float32(0.3),
        "clip+6dB": _clip,
        "white20dB": noise(20),
        "white30dB": noise(30),
        "pink20dB": noise(20, pink=True),
        "lowpass4k": _filter("low", 4000),
        "lowpass2k": _filter("low", 2000),
        "highpass500": _filter("high", 500),
        "bandpass300-3400": _filter("band", 300, 3400),
        "eq": avfilter(("equalizer", "f=300:t=o:w=1:g=6"), ("equalizer", "f=3000:t=o:w=1:g=-6")),
        "compressor": avfilter(("acompressor", "threshold=0.1:ratio=4:attack=5:release=50")),
        "echo100ms": _echo(0.1, 0.5),
        "smooth6": _smooth,
        "trim1.37s": _segment(1.37),
        "segment5s": _segment(2.0, 5.0),
        "segment10s": _segment(1.0, 10.0),
        "cuts10x20ms": _cuts(10, 0.02),
        "mute10%": _mute(0.1),
        "speed1.05": _speed(1.05),
        "speed0.9": _speed(0.9),
        "speed1.25": _speed(1.25),
        "tempo1.05": avfilter(("atempo", "1.05")),
        "tempo0.9": avfilter(("atempo", "0.9")),
        "pitch+1st": _pitch(1.0595),
        "phone": chain(_filter("band", 300, 3400), resampled(8_000), mp3[32]),
        "mp3_64+tempo1.03+noise30": chain(mp3[64], avfilter(("atempo", "1.03")), noise(30)),
    }
