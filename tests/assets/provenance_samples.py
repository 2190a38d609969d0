"""Small real files of every type, and a key ring with everything needed to sign them. Loaded by the conftest files."""

import io
import wave
from dataclasses import dataclass, replace

import av
import numpy as np
from PIL import Image

from gensafe.core.clock import SystemClock
from gensafe.keys import KeyRing
from gensafe.provenance import ClaimFacts, LocalTimeStamper, TrustList, TrustStore, sign_asset

RECORD = "0123456789abc"
TEXT = "Ein roter Kreis — a red circle, un cercle rouge.\n"


def facts(**changes):
    base = ClaimFacts(
        title="output",
        record_id=RECORD,
        system_name="GenSafe",
        system_version="0.1.0",
        model_name="symphony",
        model_version="1",
        weights_digest="sha256:" + "a" * 64,
        prompt_commitment="hmac-sha256:" + "b" * 64,
        verdict_digest="sha256:" + "c" * 64,
        policy_digest="sha256:" + "d" * 64,
        created_ms=SystemClock().now_ms(),
        development=True,
        soft_binding_alg="org.gensafe.image.1",
        soft_binding_value="AAECAwQFBg==",
    )
    return replace(base, **changes)


def pixels(seed=0):
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 200, 96).astype(np.uint8)
    return (ramp[None, :, None] + rng.integers(0, 40, (64, 96, 3))).astype(np.uint8)


def image(kind, seed=0):
    buffer = io.BytesIO()
    Image.fromarray(pixels(seed)).save(buffer, kind)
    return buffer.getvalue()


def tone(seconds=1.0, rate=16000):
    t = np.arange(int(seconds * rate)) / rate
    return (np.sin(2 * np.pi * 440 * t) * 12000).astype(np.int16)


def wav():
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(16000)
        stream.writeframes(tone().tobytes())
    return buffer.getvalue()


def audio(container, codec):
    buffer = io.BytesIO()
    samples = tone()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=16000, layout="mono")
        for start in range(0, len(samples) - 1151, 1152):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1152].copy(), format="s16", layout="mono")
            frame.rate = 16000
            frame.pts = start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def mp4():
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=8)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for i in range(8):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), i * 20, np.uint8), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def all_files():
    return {
        "image/png": image("PNG"),
        "image/jpeg": image("JPEG"),
        "image/webp": image("WEBP"),
        "audio/wav": wav(),
        "audio/mpeg": audio("mp3", "libmp3lame"),
        "audio/flac": audio("flac", "flac"),
        "video/mp4": mp4(),
        "text/plain": TEXT.encode(),
        "application/json": b'{"answer": 42}\n',
        "audio/ogg": b"OggS not really parsed, only hashed",
    }


@dataclass(frozen=True)
class Bench:
    """A key ring, its trust store and its time-stamp authority."""

    ring: KeyRing
    trust: TrustStore
    tsa: LocalTimeStamper

    def sign(self, data, media_type, stamped=True, **changes):
        tsa = self.tsa if stamped else None
        return sign_asset(data, media_type, facts(**changes), self.ring.claim_signer(), tsa, self.trust)


def make_bench(directory, clock=None):
    clock = clock or SystemClock()
    ring = KeyRing.open(directory, clock=clock)
    credential = ring.tsa_credential()
    trust = TrustStore(
        signers=(TrustList("own signers", ring.trust_anchors()),),
        time_stamps=(TrustList("own time-stamps", ring.tsa_anchors()),),
    )
    return Bench(ring, trust, LocalTimeStamper(credential.key, credential.chain, clock))
