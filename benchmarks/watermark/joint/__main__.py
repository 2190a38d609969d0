"""One sampling mark for every medium of the bundled model: what entropy there is, and what survives re-reading.

    python -m benchmarks.watermark.joint [--only image|audio|video|open_bits|documents ...] [--count 24] [--out FILE]

Pictures, sounds and films are drawn by key from the bundled model, decoded, damaged and read back by the tokenizer; the
detector sees only the medium and the key. Rates are at p <= 1e-6 over 16 key ids. The shipped temperature for media is
0.3; at 1.5 and 2 the media are broken, and are there to show how the test behaves once there is something to
find. "stock" leaves out (place, token) pairs that a tenth of unmarked media hold; "cycle" reads with detector-only
encoders taught on other seeds and other strengths of the same kinds of damage.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.common.places import RESULTS
from benchmarks.watermark.joint.attacks import ATTACKS, KEY
from benchmarks.watermark.joint.marks import (
    Evidence,
    KeyedSampler,
    ListeningSampler,
    Stock,
    evidence,
    medium_key,
    stock_of,
)
from gensafe.core.types import Audio, Image, Media, Modality, Video
from gensafe_backends.symphony import plugin
from gensafe_backends.symphony.generate import DecodeParams, Tally, decode
from gensafe_backends.symphony.model.open import open_engine
from gensafe_backends.symphony.sampler import Sampler, SamplingParams
from gensafe_backends.symphony.sequence import TokenSpan, prompt_ids
from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer
from gensafe_backends.symphony.vocab import ModalityId
from gensafe_backends.symphony.weights import load_model, weights_digest
from gensafe_backends.symphony.world import captions, clip, sample, sound, stories
from gensafe_watermark.sampling import KEY_IDS, GumbelMark
from gensafe_watermark.text import statistics
from gensafe_watermark.text.common import shipped

if TYPE_CHECKING:
    from gensafe_backends.symphony.model.engine import Engine

TEMPERATURES = (0.3, 1.0, 1.5, 2.0)
TEXT = SamplingParams(1.0, 0.98)  # as shipped
SEED = 900_000_000  # training never uses seeds from here on
FREE, TAUGHT = 1_000_000, 2_000_000  # offsets of seeds for the stock list, and for teaching
P = 1e-6
MODALITIES = {
    ModalityId.IMAGE: Modality.IMAGE,
    ModalityId.AUDIO: Modality.AUDIO,
    ModalityId.VIDEO: Modality.VIDEO,
}


@dataclass(frozen=True, slots=True)
class Studio:
    """The bundled model."""

    engine: Engine
    tokenizer: UniversalTokenizer
    digest: str

    @classmethod
    def open(cls) -> Studio:
        """Load the shipped bundle."""
        bundle = plugin.default_bundle()
        config, tensors = load_model(bundle)
        return cls(open_engine("auto", config, tensors), UniversalTokenizer.load(bundle), weights_digest(bundle))

    def draw(
        self, modality: ModalityId, seed: int, temperature: float, key: bytes | None
    ) -> tuple[list[int], list[float]]:
        """Ids of one medium for a prompt of that seed, and the bits that were open while drawing each."""
        rng = np.random.default_rng(SEED + seed)
        sampler = KeyedSampler(seed, None if key is None else medium_key(key, modality))
        ids = self._decode(_prompt(modality, rng), modality, sampler, SamplingParams(temperature), None)
        return ids[1:-1], sampler.bits

    def tell(self, seed: int, key: bytes | None) -> tuple[list[int], float]:
        """A story, marked as the product marks it: its ids as read back from its text, and bits per token."""
        mark = None if key is None else GumbelMark(key, key_shift=seed % KEY_IDS)
        asked, _ = stories.story_exchange(np.random.default_rng(SEED + seed))
        sampler = ListeningSampler(seed)
        ids = self._decode(asked, ModalityId.TEXT, sampler, TEXT, mark)
        return self.tokenizer.encode_text(self.tokenizer.decode_text(ids)), float(np.mean(sampler.bits))

    def _decode(
        self, prompt: str, modality: ModalityId, sampler: Sampler, how: SamplingParams, mark: GumbelMark | None
    ) -> list[int]:
        config, tally = self.tokenizer.config, Tally()
        words = TokenSpan(ModalityId.TEXT, tuple(self.tokenizer.encode_text(prompt)))
        params = DecodeParams(dict.fromkeys(ModalityId, how))
        for _ in decode(
            self.engine,
            prompt_ids([words], config),
            modality,
            sampler,
            params,
            cancelled=lambda: False,
            mark=mark,
            max_text=plugin.MAX_TEXT,
            tally=tally,
        ):
            pass
        return tally.ids

    def media(self, modality: ModalityId, ids: list[int]) -> Media:
        """What the ids stand for."""
        return self.tokenizer.decode(MODALITIES[modality], ids)


def _prompt(modality: ModalityId, rng: np.random.Generator) -> str:
    if modality is ModalityId.IMAGE:
        return captions.scene_prompt(sample.sample_scene(rng), rng)
    if modality is ModalityId.AUDIO:
        return captions.sound_prompt(sound.sample_sound(rng), rng)
    return captions.clip_prompt(clip.sample_clip(rng), rng)


def _rates(found: list[Evidence]) -> dict[str, float]:
    p = np.array([e.p_value for e in found])
    return {"rate": round(float((p <= P).mean()), 3), "median_p": float(np.median(p))}


def medium(studio: Studio, modality: ModalityId, count: int, taught: UniversalTokenizer) -> dict[str, object]:
    """Entropy, token match and rates of one medium at every temperature, after every attack."""
    config = studio.tokenizer.config
    out: dict[str, object] = {}
    for temperature in TEMPERATURES:
        free = [studio.draw(modality, FREE + i, temperature, None)[0] for i in range(2 * count)]
        stock = stock_of(free[:count])
        drawn = [studio.draw(modality, i, temperature, KEY) for i in range(count)]
        media = [studio.media(modality, ids) for ids, _ in drawn]
        length = len(drawn[0][0])
        rows: dict[str, object] = {}
        for name, attack in ATTACKS[modality].items():
            after = [attack(m, np.random.default_rng(i)) for i, m in enumerate(media)]
            row: dict[str, object] = {}
            for reader, tokenizer in (("shipped", studio.tokenizer), ("cycle", taught)):
                seen = [tokenizer.encode(m) for m in after]
                same = np.array([ids for ids, _ in drawn]) == np.array(seen)
                row[reader] = {
                    "match": round(float(same.mean()), 4),
                    "all": _rates([evidence(s, modality, config, KEY) for s in seen]),
                    "stock": _rates([evidence(s, modality, config, KEY, stock) for s in seen]),
                }
            rows[name] = row
            print(f"  {modality.name.lower()} T={temperature} {name}: {json.dumps(row)}", flush=True)
        null = [evidence(ids, modality, config, KEY, stock) for ids in free[count:]]
        bits = [sum(b) for _, b in drawn]
        out[str(temperature)] = {
            "media": count,
            "tokens_each": length,
            "bits_per_token": round(float(np.mean(bits)) / length, 4),
            "bits_per_medium": round(float(np.mean(bits)), 2),
            "ids_by_key_only": {
                "all": _rates([evidence(ids, modality, config, KEY) for ids, _ in drawn]),
                "stock": _rates([evidence(ids, modality, config, KEY, stock) for ids, _ in drawn]),
            },
            "scored_of_tokens_with_stock_left_out": round(float(np.mean([e.count for e in null])), 1),
            "unmarked": {"media": len(null), "least_p": min(e.p_value for e in null), **_rates(null)},
            "after": rows,
        }
    return out


def open_bits(studio: Studio, count: int) -> dict[str, object]:
    """Of exact copies: the share of all ids that is read back, and the share weighted by the bits open at each."""
    out: dict[str, object] = {}
    for modality in MODALITIES:
        for temperature in TEMPERATURES:
            drawn = [studio.draw(modality, i, temperature, KEY) for i in range(count)]
            seen = [studio.tokenizer.encode(studio.media(modality, ids)) for ids, _ in drawn]
            same = np.array([ids for ids, _ in drawn]) == np.array(seen)
            bits = np.array([b for _, b in drawn])
            out[f"{modality.name.lower()} at {temperature}"] = {
                "of_ids": round(float(same.mean()), 4),
                "of_open_bits": round(float((same * bits).sum() / bits.sum()), 4),
            }
    return out


def teach(studio: Studio, modality: ModalityId, count: int, steps: int) -> UniversalTokenizer:
    """The tokenizer with detector-only encoders for one medium, taught on seeds and strengths not tested."""
    from benchmarks.watermark.joint import cycle as joint_cycle

    names = {ModalityId.IMAGE: ["image"], ModalityId.AUDIO: ["audio"], ModalityId.VIDEO: ["video", "audio"]}[modality]
    recorders = {name: joint_cycle.recorder(studio.tokenizer.coders[name]) for name in names}
    listening = joint_cycle.with_coders(studio.tokenizer, recorders)
    ids: dict[str, list[int]] = {name: [] for name in names}
    for i in range(count):
        drawn, _ = studio.draw(modality, TAUGHT + i, TEMPERATURES[i % len(TEMPERATURES)], None)
        made, rng = studio.media(modality, drawn), np.random.default_rng(TAUGHT + i)
        for attack in joint_cycle.damages(modality, rng):
            listening.encode(attack(made, rng))
            for name, part in joint_cycle.parts(drawn, modality, studio.tokenizer.config).items():
                ids[name] += part
    coders = {
        name: joint_cycle.fit(
            studio.tokenizer.coders[name], np.concatenate(recorders[name].kept), np.array(ids[name]), steps=steps
        )
        for name in names
    }
    return joint_cycle.with_coders(studio.tokenizer, coders)


def documents(studio: Studio, count: int) -> dict[str, object]:
    """A story, a picture, a sound and a film in one document, exact copies of all: what the media add to the text."""
    out: dict[str, object] = {}
    passages, _ = shipped()

    def of_text(ids: list[int]) -> Evidence:
        scored = statistics.score_tokens(ids, KEY, 3, range(KEY_IDS), passages)
        return Evidence(len(scored.positions), scored.scores.sum(axis=1))

    told = [studio.tell(i, KEY) for i in range(count)]
    texts = {length: [of_text(ids[:length]) for ids, _ in told] for length in (25, 50, 100, 480)}
    out["story_bits_per_token"] = round(float(np.mean([b for _, b in told])), 3)
    out["story_tokens_mean"] = round(float(np.mean([len(ids) for ids, _ in told])), 1)
    out["story_tokens_scored_mean"] = round(float(np.mean([e.count for e in texts[480]])), 1)
    out["story_passages_left_out"] = round(
        1 - sum(e.count for e in texts[480]) / sum(of_text_all(ids) for ids, _ in told), 3
    )
    for temperature in TEMPERATURES:
        stocks = {m: stock_of(studio.draw(m, FREE + i, temperature, None)[0] for i in range(count)) for m in MODALITIES}
        added = [
            sum((_read(studio, m, i, temperature, stocks[m]) for m in MODALITIES), Evidence()) for i in range(count)
        ]
        out[f"media at {temperature}"] = {
            "media alone": _rates(added),
            **{
                f"text of {length} tokens": {
                    "text alone": _rates(evidences),
                    "pooled": _rates([t + m for t, m in zip(evidences, added, strict=True)]),
                }
                for length, evidences in texts.items()
            },
        }
        print(f"  documents, media at {temperature}: {json.dumps(out[f'media at {temperature}'])}", flush=True)
    return out


def of_text_all(ids: list[int]) -> int:
    """Scored tokens of a text with no passage left out."""
    return len(statistics.score_tokens(ids, KEY, 3, (0,)).positions)


def _read(studio: Studio, modality: ModalityId, seed: int, temperature: float, stock: Stock) -> Evidence:
    ids, _ = studio.draw(modality, seed, temperature, KEY)
    medium = studio.media(modality, ids)
    assert isinstance(medium, Image | Audio | Video)
    return evidence(studio.tokenizer.encode(medium), modality, studio.tokenizer.config, KEY, stock)


def main() -> None:
    """Run and write the results; sections not run stay as they are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=["image", "audio", "video", "open_bits", "documents"])
    parser.add_argument("--count", type=int, default=24, help="media per temperature")
    parser.add_argument("--taught", type=int, default=80, help="media the detector-only encoders learn from")
    parser.add_argument("--steps", type=int, default=2000, help="steps they are taught for")
    parser.add_argument("--out", type=Path, default=RESULTS / "watermark" / "joint.json")
    options = parser.parse_args()
    studio = Studio.open()
    header = {
        "benchmark": "watermark_joint",
        "version": metadata.version("gensafe"),
        "weights": studio.digest,
        "p_threshold": P,
        "key_ids": KEY_IDS,
    }
    report = json.loads(options.out.read_text()) if options.out.exists() else {}
    if any(report.get(key) != value for key, value in header.items()):
        report = dict(header)
    for section in options.only:
        began = time.process_time()
        if section in ("documents", "open_bits"):
            result: object = {"documents": documents, "open_bits": open_bits}[section](studio, options.count)
        else:
            modality = ModalityId[section.upper()]
            result = medium(studio, modality, options.count, teach(studio, modality, options.taught, options.steps))
        report[section] = result
        report[f"{section}_processor_s"] = round(time.process_time() - began, 1)
        options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
