"""Picture mark: exact-payload recovery over 45 attacks, beside the public tools that are installed.

    python -m benchmarks.watermark.image --images DIR [--images DIR2] [--limit N] [--small N] [--peers] [--out FILE]

Each folder is one set; ``--small N`` adds N synthetic 256 x 256 pictures like those of the bundled generator.
``--peers`` runs invisible-watermark (dwtDct, dwtDctSvd, rivaGan) and blind-watermark on the same pictures where they
can be imported (64 payload bits, RivaGAN 32; ours carries 96); such a set is stored apart, as "NAME, beside other
tools". Recovery counts a payload only if every bit is right. Prints a table and writes JSON with versions.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.places import RESULTS
from benchmarks.watermark.image.attacks import picture_attacks
from benchmarks.watermark.image.sets import KEY, Pixels, load, ssim, synthetic
from gensafe.core.errors import CannotCarry
from gensafe.core.types import MarkLevel
from gensafe_watermark import image
from gensafe_watermark.image import perception

VERSION = 1
RESULT = RESULTS / "watermark" / "image.json"


@dataclass(frozen=True)
class Method:
    """``embed(pixels, message) -> pixels`` and ``read(pixels) -> message | None``; ``draw(rng)`` makes a message."""

    name: str
    bits: int
    draw: Callable[[np.random.Generator], Any]
    embed: Callable[[Pixels, Any], Pixels]
    read: Callable[[Pixels], Any]


def ours() -> Method:
    """This project's mark."""
    return Method(
        "gensafe",
        96,
        lambda rng: rng.bytes(7),
        lambda pixels, message: image.embed(pixels, message, KEY),
        lambda pixels: image.detect(pixels, KEY).payload,
    )


def peers() -> list[Method]:
    """Public tools that can be imported here."""
    found: list[Method] = []

    def draw(bits: int) -> Callable[[np.random.Generator], Any]:
        return lambda rng: tuple(int(b) for b in rng.integers(0, 2, bits))

    try:
        from blind_watermark import WaterMark, bw_notes  # type: ignore[import-not-found]

        bw_notes.close()

        def embed(pixels: Pixels, message: Any) -> Pixels:
            mark = WaterMark(password_wm=1, password_img=1)
            mark.read_img(img=np.ascontiguousarray(pixels[..., ::-1]))
            mark.read_wm(np.array(message, bool), mode="bit")
            return np.ascontiguousarray(np.clip(np.round(mark.embed()), 0, 255).astype(np.uint8)[..., ::-1])

        def read(pixels: Pixels) -> Any:
            mark = WaterMark(password_wm=1, password_img=1)
            out = mark.extract(embed_img=np.ascontiguousarray(pixels[..., ::-1]), wm_shape=64, mode="bit")
            return tuple(int(b > 0.5) for b in out)

        found.append(Method("blind-watermark", 64, draw(64), embed, read))
    except Exception as error:
        print(f"blind-watermark: {error}", file=sys.stderr)
    try:
        from imwatermark import WatermarkDecoder, WatermarkEncoder  # type: ignore[import-not-found]

        def make(name: str, bits: int) -> Method:
            def embed(pixels: Pixels, message: Any) -> Pixels:
                encoder = WatermarkEncoder()
                encoder.set_watermark("bits", list(message))
                return np.ascontiguousarray(encoder.encode(np.ascontiguousarray(pixels[..., ::-1]), name)[..., ::-1])

            def read(pixels: Pixels) -> Any:
                if pixels.shape[0] * pixels.shape[1] < 256 * 256:
                    return None
                out = WatermarkDecoder("bits", bits).decode(np.ascontiguousarray(pixels[..., ::-1]), name)
                return tuple(int(b > 0.5) for b in np.asarray(out, float))

            return Method(name, bits, draw(bits), embed, read)

        found += [make("dwtDct", 64), make("dwtDctSvd", 64)]
        WatermarkEncoder.loadModel()
        WatermarkDecoder.loadModel()
        found.append(make("rivaGan", 32))
    except Exception as error:
        print(f"invisible-watermark: {error}", file=sys.stderr)
    return found


def run(
    method: Method, pictures: list[Pixels], attacks: dict[str, Any], save: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Mark, attack, read; the same generators for every method. ``save`` gets the figures after every picture."""
    recovered: dict[str, list[bool]] = {name: [] for name in attacks}
    quality, similarity, refused, accepted = [], [], 0, 0
    embed_s, read_s, unmarked_s, pixels_done = 0.0, [], [], 0
    figures: dict[str, Any] = {}
    for index, picture in enumerate(pictures):
        message = method.draw(np.random.default_rng(1000 + index))
        start = time.process_time()
        try:
            marked = method.embed(picture, message)
        except CannotCarry:
            refused += 1
            continue
        embed_s += time.process_time() - start
        pixels_done += picture.shape[0] * picture.shape[1]
        quality.append(perception.psnr(picture, marked))
        similarity.append(ssim(picture, marked))
        for name, attack in attacks.items():
            copy = attack(marked, np.random.default_rng(7 * index + 3))
            start = time.process_time()
            recovered[name].append(method.read(copy) == message)
            if name == "none":
                read_s.append(time.process_time() - start)
        start = time.process_time()
        accepted += method.read(picture) is not None
        unmarked_s.append(time.process_time() - start)
        print(f"\r{method.name} {index + 1}/{len(pictures)}", end="", file=sys.stderr)
        figures = summary(method, refused, quality, similarity, recovered)
        figures |= {
            "embed_ms_per_megapixel": round(1e3 * embed_s / pixels_done * 1e6),
            "read_ms_per_megapixel_unattacked": round(1e3 * float(np.sum(read_s)) / pixels_done * 1e6),
            "read_ms_per_megapixel_unmarked": round(1e3 * float(np.sum(unmarked_s)) / pixels_done * 1e6),
            "unmarked_accepted": accepted,
        }
        save(figures)
    print(file=sys.stderr)
    return figures


def summary(
    method: Method,
    refused: int,
    quality: list[float],
    similarity: list[float],
    recovered: dict[str, list[bool]],
) -> dict[str, Any]:
    """Quality and recovery figures so far."""
    rates = {name: float(np.mean(hits)) for name, hits in recovered.items()}
    return {
        "bits": method.bits,
        "pictures": len(quality),
        "refused": refused,
        "psnr_mean": round(float(np.mean(quality)), 2),
        "psnr_worst": round(float(np.min(quality)), 2),
        "ssim_mean": round(float(np.mean(similarity)), 4),
        "recovery": {name: round(rate, 4) for name, rate in rates.items()},
        "recovery_mean": round(float(np.mean(list(rates.values()))), 4),
        "recovery_worst": min(rates, key=lambda name: rates[name]),
    }


def table(results: dict[str, dict[str, Any]]) -> str:
    """Columns are set / method, rows are figures and attacks."""
    columns = [(group, name) for group, methods in results.items() for name in methods]
    head = [f"{group}:{name}"[:22] for group, name in columns]
    lines = [f"{'':26s}" + "".join(f"{h:>24s}" for h in head)]
    first = results[columns[0][0]][columns[0][1]]
    for figure in (k for k in first if k != "recovery"):
        lines.append(f"{figure[:26]:26s}" + "".join(f"{results[g][n][figure]!s:>24s}" for g, n in columns))
    for attack in first["recovery"]:
        lines.append(f"{attack:26s}" + "".join(f"{results[g][n]['recovery'][attack]:24.2f}" for g, n in columns))
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", action="append", default=[])
    parser.add_argument("--limit", type=int, default=16, help="pictures per folder, evenly spaced; 0 = all")
    parser.add_argument("--small", type=int, default=12, help="synthetic 256 x 256 pictures")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args(arguments)
    if options.limit < 0 or options.small < 0:
        parser.error("--limit and --small must not be negative")
    sets = {}
    if options.small:
        sets["synthetic 256x256"] = [synthetic(seed) for seed in range(options.small)]
    sets |= {Path(folder).name: load(folder, options.limit) for folder in options.images}
    methods = [ours(), *(peers() if options.peers else [])]
    if options.peers:
        sets = {f"{name}, beside other tools": chosen for name, chosen in sets.items()}
    attacks = picture_attacks()
    results: dict[str, dict[str, Any]] = {}
    for group, pictures in sets.items():
        results[group] = {}
        for method in methods:

            def save(figures: dict[str, Any], group: str = group, name: str = method.name) -> None:
                results[group][name] = figures
                write(options.out, results)

            run(method, pictures, attacks, save)
    print(table(results))


def write(path: Path, results: dict[str, dict[str, Any]]) -> None:
    """Write the report, keeping sets of an earlier run of the same version that were not run again."""
    earlier: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    kept = (
        earlier.get("sets", {}) if earlier.get("version") == VERSION and earlier.get("scheme") == image.SCHEME else {}
    )
    report = {
        "benchmark": "watermark_image",
        "version": VERSION,
        "scheme": image.SCHEME,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "attacks": len(picture_attacks()),
        "level_reported_for_a_recovered_payload": MarkLevel.RECORD.value,
        "sets": {**kept, **results},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
