"""Copy the measured figures from results/media_safety/media_safety.json into the cards of the media classifiers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gensafe.safety.cards import WEIGHTS

SECTIONS: dict[str, tuple[str, ...]] = {
    "image_signal": ("ordinary",),
    "image_hashlist": ("block_lists",),
    "image_text": ("ocr",),
    "image_likeness": ("likeness",),
    "image_symbols": ("symbols",),
    "image_nudity": ("nudity",),
    "audio_likeness": ("likeness",),
    "audio_hashlist": ("recordings",),
    "audio_signal": ("ultrasound", "loudness", "ordinary"),
    "audio_text": ("speech",),
    "audio_script": ("scripts",),
    "video_signal": ("flash", "insertions", "ordinary"),
    "video_frames": ("ordinary",),
    "video_hashlist": ("clip_lists",),
}
_LIKENESS = {"image_likeness": ("photographs", "of these"), "audio_likeness": ("a voice",)}
_WORDS = {"image_signal": ("pictures", "photographs"), "audio_signal": ("sounds",), "video": ("clips",)}


def write(results: Mapping[str, Any]) -> int:
    """Rewrite ``measured`` in each card."""
    for name, sections in SECTIONS.items():
        measured: dict[str, str] = {}
        for section in sections:
            for key, value in results.get(section, {}).items():
                wanted = _WORDS.get(name, _WORDS.get(name.split("_")[0], ()))
                if section == "ordinary" and not key.startswith(wanted):
                    continue
                if section == "likeness" and not key.startswith(_LIKENESS[name]):
                    continue
                if key.startswith("the generator's speech beside"):
                    continue  # another method, which no classifier uses
                label = f"{key} by the whole default policy" if section == "ordinary" else key
                measured[label] = str(value)
        for key, value in results.get("cost", {}).items():
            if key.startswith(name + ","):
                measured[key.removeprefix(name + ", ")] = str(value)
        path = WEIGHTS / f"{name}.card.json"
        card = json.loads(path.read_text(encoding="utf-8"))
        card["measured"] = measured
        path.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(path.name, len(measured))
    return 0
