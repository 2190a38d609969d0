"""Write the measured parts of docs/watermark-image.md from the committed results.

    python -m benchmarks.watermark.docs [--check]

Each part stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``. ``--check`` writes nothing and fails if one is stale.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.common.places import DOCS, RESULTS

PAGE = DOCS / "watermark-image.md"
_LABELS = {
    "pictures": "pictures",
    "clips": "clips",
    "refused": "refused",
    "psnr_mean": "PSNR mean, dB",
    "psnr_worst": "PSNR worst, dB",
    "psnr_worst_frame": "PSNR worst frame, dB",
    "ssim_mean": "SSIM",
    "embed_ms_per_megapixel": "embed, ms per megapixel",
    "embed_ms_per_frame": "embed, ms per frame",
    "read_ms_per_megapixel_unattacked": "read, ms per megapixel: unattacked",
    "read_ms_per_megapixel_unmarked": "read, ms per megapixel: unmarked (whole cascade)",
    "read_s_median": "read, s per clip (median)",
    "unmarked_accepted": "unmarked accepted",
}
_PEER_LABELS = {
    "bits": "bits carried",
    **{key: _LABELS[key] for key in ("pictures", "psnr_mean", "psnr_worst", "ssim_mean", "embed_ms_per_megapixel")},
    "read_ms_per_megapixel_unattacked": "read, ms per megapixel",
    "unmarked_accepted": "unmarked accepted",
}
_KINDS = {
    "none, JPEG 90 to 30, WebP 50, AVIF 50": ("none", "jpeg90", "jpeg70", "jpeg50", "jpeg30", "webp50", "avif50"),
    "blur, median, sharpening, noise": (
        *("blur1", "blur2", "median3", "median5", "noise.02", "noise.05", "saltpepper1%", "sharpen2", "denoise"),
    ),
    "brightness, contrast, colour": (
        *("bright.5", "bright1.5", "contrast.5", "contrast1.5", "gamma.7", "saturation.3", "hue.1", "grey"),
        "posterize4",
    ),
    "resizing, aspect ratio": ("resize.5", "resize.5back", "resize1.5", "aspect.8"),
    "crops": ("crop.9", "crop.5", "crop.25", "crop.5back"),
    "turns, mirror, perspective": ("rotate2", "rotate10", "rotate45", "rotate90", "mirror", "perspective.2"),
    "caption, erased part, collage": ("caption", "erase.25", "collage.5"),
    "chains (screenshot, social, combo)": ("screenshot", "social", "combo"),
}


def rows(head: list[str], body: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def table(columns: dict[str, dict[str, Any]], noun: str) -> str:
    """Figures, the mean, every attack that is not 1.00 everywhere, and how many are."""
    first = next(iter(columns.values()))
    body = [[label, *(str(c.get(key, "")) for c in columns.values())] for key, label in _LABELS.items() if key in first]
    count = len(first["recovery"])
    means = (f"**{c['recovery_mean']:.3f}**" for c in columns.values())
    body.append([f"**mean recovery, {count} attacks**", *means])
    lost = [a for a in first["recovery"] if any(c["recovery"][a] < 1 for c in columns.values())]
    body += [[attack, *(f"{c['recovery'][attack]:.2f}" for c in columns.values())] for attack in lost]
    body.append([f"the other {count - len(lost)} attacks", *("1.00" for _ in columns)])
    for attack in first.get("beyond_the_list", {}):
        rates = (f"{c['beyond_the_list'][attack]:.2f}" for c in columns.values())
        body.append([f"beyond the list: {attack}", *rates])
    return rows([noun, *columns], body)


def pictures() -> str:
    """This project's mark on every set it ran on alone."""
    sets = read("image")["sets"]
    return table({name: methods["gensafe"] for name, methods in sets.items() if len(methods) == 1}, "pictures")


def peers() -> str:
    """Every method of the sets on which others ran too: quality, times, and recovery by kind of attack."""
    found = {name: methods for name, methods in read("image")["sets"].items() if len(methods) > 1}
    if not found:
        return "No other tool was run on these pictures."
    parts = []
    for name, methods in found.items():
        columns = list(methods.values())
        body = [[label, *(str(c[key]) for c in columns)] for key, label in _PEER_LABELS.items()]
        rates = [c["recovery"] for c in columns]
        body.append(["**mean recovery, 45 attacks**", *(f"**{c['recovery_mean']:.3f}**" for c in columns)])
        for kind, names in _KINDS.items():
            body.append([f"{kind} ({len(names)})", *(f"{sum(r[n] for n in names) / len(names):.2f}" for r in rates)])
        parts.append(rows([name, *methods], body))
    return "\n\n".join(parts)


def films() -> str:
    """Every set of films."""
    report = read("video")
    columns = {f"{name}: {', '.join(figures['frame'])}": figures for name, figures in report["sets"].items()}
    return table(columns, f"film, up to {report['frames']} frames")


def cut() -> str:
    """A film cut in the middle of a shot, with a second strong frame at various places."""
    report = read("video_cut")
    head = ["second strong frame", *(f"{name}: margin" for name in report["clips"]), "PSNR mean, dB"]
    body = [[r["strong frame"], *(f"{m:.2f}" for m in r["margins"]), str(r["psnr_mean"])] for r in report["rows"]]
    return rows(head, body)


def animations() -> str:
    """Animated pictures: recovery from all frames, and from the first alone."""
    report = read("video_animations")
    sets = {f"{name}: all / the first alone": found for name, found in report["sets"].items() if found["all_frames"]}
    keys = ("clips", "refused", "psnr_mean", "psnr_worst")
    body = [[_LABELS[key], *(str(found[key]) for found in sets.values())] for key in keys]
    for way in next(iter(sets.values()))["all_frames"]:
        pairs = (f"{f['all_frames'][way]:.2f} / {f['first_frame'][way]:.2f}" for f in sets.values())
        body.append([way, *pairs])
    return rows([f"animated pictures, {report['frames']} frames", *sets], body)


def security() -> str:
    """What each experiment left."""
    report = read("image_security")
    body: list[list[str]] = []

    def line(name: str, found: dict[str, Any], note: str = "") -> None:
        body.append([name, *(str(found[level]) for level in ("record", "present", "none")), note])

    for group in ("average of 12, own payload each", "average of 12, one payload in all"):
        for name, found in report[group].items():
            line(
                f"{group}: {name}",
                found,
                f"{found['psnr']} dB after removal" if "psnr" in found else "on clean pictures",
            )
    for found in report["notch"]:
        line(f"notch, {found['lines']} strongest lines of 12 pictures", found, f"{found['psnr']} dB after")
    for name, found in report["copy"].items():
        line(
            f"copy one picture's residual onto a clean one, {name}",
            found,
            f"forged; the record's fingerprint agrees with {found['fingerprint agrees']}",
        )
    for name in ("first mark", "second mark"):
        line(f"overwrite, another key on top: {name}", report["overwrite"][f"another key on top: {name}"])
    again, oracle = report["overwrite"]["same key on top"], report["oracle"]
    quality = ", ".join(str(q) for q in oracle["psnr_when_the_record_is_gone"])
    return "\n".join(
        [
            f"{report['pictures']} BSDS500 pictures of one size, marked at {report['psnr_mean']} dB (worst "
            f"{report['psnr_worst']} dB), judged by the nominal step. Figures are pictures out of six.",
            "",
            rows(["experiment", "record", "present", "none", "note"], body),
            "",
            f"Re-marking under the same key: the first payload is read in {again['first payload']}, the second in "
            f"{again['second payload']}, none in {again['none']} of six.",
            f"With a found / not found oracle and {oracle['queries']} queries, blending with a blurred copy removes "
            f"the record at {quality} dB.",
        ]
    )


def null() -> str:
    """The null distribution."""
    report = read("image_security")
    found = report["null"]
    body = [
        [
            p,
            kind,
            f"{share['measured']:.4f}",
            f"{share['counted']:.4f}",
            "{:.4f} to {:.4f}".format(*share["counted_interval_95"]),
        ]
        for kind, shares in found["share_above_the_stated_p"].items()
        for p, share in shares.items()
    ]
    best = "; ".join(f"{kind} {b['max']:.2f} (of {b['count']})" for kind, b in found["best_score"].items())
    fitted = found["fitted"]
    lines = [
        f"{found['decodes']:,} wrong-key decodes on {found['pictures']} photographs, half of them marked, gave "
        f"{found['payloads_accepted']} payloads (rate under {found['accept_rate_upper_95']:.1e} at 95 %).",
        f"`present` takes a comb score of {found['score_needed_for_present']:.2f}. A Gumbel tail fitted to "
        f"{fitted['scores']:,} wrong keys on {fitted['pictures']} of the photographs reaches 1e-6 at "
        f"{fitted['threshold_1e-6']:.2f}, to the marked ones alone at {fitted['threshold_1e-6_marked_alone']:.2f}.",
        f"On the others, below, the highest score of a wrong key was: {best}.",
        "",
        rows(["stated p", "photographs", "share, score as measured", "share, score as counted", "95 % interval"], body),
    ]
    searches = report.get("whole cascade, wrong keys on marked pictures")
    if searches:
        levels = ", ".join(f"{level} {count}" for level, count in searches["levels"].items())
        lines += [
            "",
            f"The whole cascade, {searches['searches']} searches of marked pictures under wrong keys: {levels}; "
            f"smallest stated p {searches['smallest_p']:.2g}; 0.1 or less in {searches['share_stating']['0.1']:.1%}.",
        ]
    return "\n".join(lines)


PARTS: dict[str, Callable[[], str]] = {
    "pictures": pictures,
    "peers": peers,
    "films": films,
    "cut": cut,
    "animations": animations,
    "security": security,
    "null": null,
}


def read(name: str) -> dict[str, Any]:
    """A committed result of this wing."""
    found: dict[str, Any] = json.loads((RESULTS / "watermark" / f"{name}.json").read_text())
    return found


def main(arguments: list[str] | None = None) -> int:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    before = page = PAGE.read_text()
    for name, write in PARTS.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        place = pattern.search(page)
        if place is None:
            raise SystemExit(f"{PAGE.name} has no part {name!r}")
        page = f"{page[: place.end(1)]}{write()}\n{page[place.start(2) :]}"
    if options.check:
        return int(page != before)
    PAGE.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
