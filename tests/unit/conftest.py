"""A small real deployment: keys, registry, log, watermarks; and outputs made with them."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from gensafe import media
from gensafe.audit import AuditLog
from gensafe.core import ids, plugins
from gensafe.core.clock import SystemClock
from gensafe.core.digest import sha256
from gensafe.core.softbinding import algorithm_of, value_of
from gensafe.core.types import Audio, Image, Modality, Text
from gensafe.keys import KeyRing
from gensafe.media.fingerprint import fingerprint
from gensafe.registry import Record, Registry
from gensafe.verify import VerifyContext, open_context

_spec = importlib.util.spec_from_file_location(
    "provenance_samples", Path(__file__).parents[1] / "assets" / "provenance_samples.py"
)
samples_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(samples_module)

STORY = (
    "Once there was a small red circle that lived beside a blue square. Every morning the circle rolled to the river "
    "and every evening it came back. The square, who could not roll, asked what the water looked like. "
    "It looks like you when you sleep, said the circle.\n"
) * 2


@dataclass
class Output:
    data: bytes
    manifest: object
    record: Record
    content: object


@dataclass
class Deployment:
    """What a service leaves behind, without the service."""

    bench: object
    registry: Registry
    log: AuditLog
    context: VerifyContext
    root: Path = Path()  # laid out as a data directory

    def release(self, content, media_type, *, marked=True, keep=True, sign_as=None, fingerprint_of=None, **facts):
        keys = self.bench.ring
        record_id = ids.new_record_id()
        modality = content.modality
        payload = ids.pack_payload(record_id, keys.current_epoch)
        if marked and modality is not Modality.TEXT:
            scheme = plugins.load("gensafe.watermarks", modality.value)
            content = scheme.embed(content, payload, keys.watermark_key(modality))
            facts = {"soft_binding_alg": algorithm_of(scheme.scheme), "soft_binding_value": value_of(payload), **facts}
        else:
            facts = {"soft_binding_alg": "", "watermark_note": "test", **facts}
        encoded = media.encode(content, media_type)
        data, manifest = (sign_as or self.bench).sign(
            encoded, media_type, record_id=ids.record_id_text(record_id), **facts
        )
        entry = {
            "schema": "gensafe.audit.entry/1",
            "event": "generation.released",
            "record_id": ids.record_id_text(record_id),
            "output": {"digest": sha256(data)},
            "manifest": {"digest": manifest.digest},
        }
        appended = self.log.append(entry)
        if keep:
            self.registry.put_blob(manifest.data)
            self.registry.put_blob(data)
        prints = fingerprint(fingerprint_of or media.decode(data, media_type))
        record = Record(
            record_id=record_id,
            request_id=ids.new_request_id(),
            tenant="local",
            modality=modality,
            media_type=media_type,
            digest=sha256(data),
            manifest_digest=manifest.digest,
            manifest_label=manifest.label,
            watermark_scheme="x",
            watermark_payload=payload,
            key_epoch=0,
            fingerprint=prints,
            log_index=appended.index,
            leaf_hash=appended.leaf_hash,
            created_ms=SystemClock().now_ms(),
        )
        self.registry.put(record)
        return Output(data, manifest, record, content)


def picture(seed=1, size=256):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size]
    base = np.stack([x * 0.6 + 40, y * 0.5 + 60, (x + y) * 0.3 + 30], -1)
    for _ in range(6):
        cx, cy, r = rng.integers(20, size - 20, 3)
        base[(x - cx) ** 2 + (y - cy) ** 2 < (r / 4 + 10) ** 2] = rng.integers(30, 220, 3)
    return Image(np.clip(base + rng.normal(0, 6, base.shape), 0, 255).astype(np.uint8))


def speech(seed=1, rate=16000, seconds=4.0):
    rng = np.random.default_rng(seed)
    t = np.arange(int(rate * seconds)) / rate
    tone = sum(np.sin(2 * np.pi * f * t) for f in rng.uniform(120, 2500, 6)) / 12
    noise = np.convolve(rng.normal(0, 0.3, t.size), np.ones(8) / 8, "same")
    envelope = 0.5 + 0.5 * np.sin(2 * np.pi * 1.3 * t)
    return Audio(((tone + noise) * envelope * 0.5).astype(np.float32)[None], rate)


@pytest.fixture(scope="session")
def samples():
    """The sample-making module."""
    return samples_module


@pytest.fixture(scope="session")
def deployment(tmp_path_factory):
    """One deployment for all tests; parsing runs in process here (containment has its own tests)."""
    root = tmp_path_factory.mktemp("deployment")
    bench = samples_module.make_bench(root / "keys")
    registry = Registry.open(root / "registry", kek=bench.ring.kek())
    log = AuditLog.open(root / "log", origin=bench.ring.origin, key=bench.ring.checkpoint_private_key())
    context = open_context(bench.ring, registry=registry, log=log, contained=False)
    with log:
        yield Deployment(bench, registry, log, context, root)


@pytest.fixture(scope="session")
def outputs(deployment):
    """One released output per modality."""
    return {
        "image": deployment.release(picture(), "image/png"),
        "audio": deployment.release(speech(), "audio/wav"),
        "text": deployment.release(Text(STORY), "text/plain"),
        "json": deployment.release(Text('{"answer": 42, "words": "a red circle"}\n'), "text/plain"),
    }


@pytest.fixture(scope="session")
def picture_of():
    """Makes a test picture."""
    return picture


@pytest.fixture
def ring(deployment) -> KeyRing:
    """The deployment's key ring."""
    return deployment.bench.ring
