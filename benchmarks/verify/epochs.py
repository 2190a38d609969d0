"""What a watermark search costs where there were several key epochs: ``python -m benchmarks.verify --only epochs``.

One picture of 256 x 256: marked under the oldest epoch, with its epoch named by the manifest and without a manifest;
and the same picture unmarked. CPU seconds of one search each, with the work shared between the keys; for comparison
without. Whole searches under 16 keys are left out.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Final

import numpy as np

from gensafe.core.ids import pack_payload
from gensafe.core.types import Image, Modality
from gensafe.verify import VerifyContext, marks
from gensafe.verify.budget import Budget
from gensafe.verify.context import load_detectors, load_verbs
from gensafe_watermark import image

EPOCHS: Final = (1, 4, 16)  # 16 is all that a payload can name
COMPARED: Final = 4  # epochs up to which whole searches under every key are measured: they cost as many times more
SIDE: Final = 256
SECONDS: Final = 3600.0  # no limit: the cost is what is measured


def measure() -> list[dict[str, Any]]:
    """CPU seconds by number of epochs and kind of file."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    base = np.stack([x * 0.6 + 40, y * 0.5 + 60, (x + y) * 0.3 + 30], -1)
    pixels = np.clip(base + rng.normal(0, 6, base.shape), 0, 255).astype(np.uint8)
    marked = Image(image.embed(pixels, pack_payload(1, 0), _key(Modality.IMAGE, 0)))
    shared = VerifyContext(detectors=load_detectors()[0], preparers=load_verbs("prepare"), key_for=_key)
    apart = replace(shared, preparers={})
    files = {"epoch named": (marked, 0), "stripped, oldest epoch": (marked, None), "unmarked": (Image(pixels), None)}
    rows: list[dict[str, Any]] = []
    for count in EPOCHS:
        epochs = tuple(reversed(range(count)))
        for kind, (content, first) in files.items():
            row: dict[str, Any] = {"epochs": count, "file": kind}
            if kind == "unmarked" and count > COMPARED:
                continue
            compared = count <= COMPARED or first is not None
            for name, context in (("shared_cpu_s", shared), *((("apart_cpu_s", apart),) if compared else ())):
                began = time.process_time()
                found = marks.search(content, replace(context, epochs=epochs), Budget(SECONDS), first)
                row[name] = round(time.process_time() - began, 3)
                if found.found != (kind != "unmarked"):
                    raise AssertionError(f"{kind} with {count} epochs: {found}")
            rows.append(row)
            print(row, flush=True)
    return rows


def _key(_: Modality, epoch: int) -> bytes:
    return bytes([epoch]) * 32
