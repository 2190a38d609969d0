"""Read the training sets whose licences allow shipped weights, with labels mapped to GenSafe's categories.

``folder`` is the directory that holds one sub-directory per set (see docs/safety-text.md for the list and the
licences). Labels are 1, 0 or NaN (unknown: masked in training, after Markov et al., arXiv 2208.03274, section 4).
Evaluation sets are never opened here.
"""

from __future__ import annotations

import csv
import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

csv.field_size_limit(1 << 30)

HEADS: Final = ("hte", "tox", "sxc", "vcr", "ssh", "ncr", "iwp", "src", "prv", "dfm", "ipv", "spc", "jbk", "any")
CORE: Final = ("hte", "tox", "sxc", "vcr", "ssh", "ncr", "iwp", "src", "jbk")
NAN: Final = float("nan")
FOREIGN: Final = ("cold", "germeval", "ailuminate_demo_fr")
MIXTURES: Final = 3000  # of each kind
REQUEST_HARM: Final = ("vcr", "ncr", "iwp", "src")  # what a harmful request may be under; they overlap


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled text. ``labels`` has a value per head; ``group`` keeps variants of one template together."""

    text: str
    labels: tuple[float, ...]
    source: str
    weight: float
    group: str


def held_out(example: Example) -> bool:
    """Every tenth family is kept from training for calibration."""
    return int(hashlib.sha256(("dev" + example.group).encode()).hexdigest()[:8], 16) % 10 == 0


def example(
    text: str,
    source: str,
    weight: float = 1.0,
    labels: Mapping[str, float] = MappingProxyType({}),
    *,
    unknown: Sequence[str] = (),
    group: str = "",
) -> Example:
    """Build an example: heads not named are 0, those in ``unknown`` NaN; ``any`` follows from the rest unless given."""
    values = dict.fromkeys(HEADS, 0.0)
    values.update(dict.fromkeys(unknown, NAN))
    values.update(labels)
    if "any" not in labels:
        if any(values[h] == 1.0 for h in CORE):
            values["any"] = 1.0
        else:
            values["any"] = NAN if any(values[h] != values[h] for h in CORE) else 0.0
    return Example(text, tuple(values[h] for h in HEADS), source, weight, group or text)


def read_all(folder: Path, contrastive: Sequence[Path] = ()) -> list[Example]:
    """Every training example, in a fixed order."""
    train = folder / "train"
    found: list[Example] = []
    for reader in (
        _toxic_spans, _edos, _safenlp, _toxigen, _hatemoji, _surge, _davidson, _ailuminate, _red_instruct,
        _convabuse, _jailbreaks, _cyberseceval, _germeval, _cold, _benign,
    ):  # fmt: skip
        found.extend(reader(train))
    for path in contrastive:
        found.extend(read_contrastive(path))
    found = [e for e in found if len(e.text.strip()) >= 3]
    found.extend(_mixtures([e for e in found if e.source not in FOREIGN]))
    return found


def requests(folder: Path) -> list[Example]:
    """The harmful requests and jailbreaks of the training sets."""
    train = folder / "train"
    return [e for reader in (_ailuminate, _red_instruct, _jailbreaks) for e in reader(train)]


def _mixtures(found: Sequence[Example]) -> Iterator[Example]:
    """Long texts of short ones: benign throughout, or with one harmful sentence among benign ones.

    Without them long texts are either novels or jailbreaks, and length alone becomes evidence.
    """
    draw = random.Random(11)
    benign = [e for e in found if len(e.text) < 300 and all(v == 0.0 for v in e.labels)]
    harmful = [e for e in found if len(e.text) < 300 and e.labels[HEADS.index("any")] == 1.0 and e.weight >= 0.5]
    for i in range(2 * MIXTURES):
        parts = [draw.choice(benign) for _ in range(draw.randint(3, 9))]
        labels = benign[0].labels
        group = parts[0].group
        if i % 2:
            unsafe = draw.choice(harmful)
            parts[draw.randrange(len(parts))] = unsafe
            labels, group = unsafe.labels, unsafe.group
        texts = [p.text if p.text.rstrip().endswith((".", "!", "?")) else p.text + "." for p in parts]
        yield Example(" ".join(texts), labels, "mixture", 0.7, group)


def read_contrastive(path: Path, split: str = "train") -> Iterator[Example]:
    """The project's own set: JSON lines with text, labels, family, split; only the rows of ``split``."""
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["split"] != split:
            continue
        labels = {c: 1.0 for c in row["labels"] if c in HEADS}
        # a threat insults as well, an insult may be hate, what is sexual may be a crime: only one of them is noted
        overlap = () if "ssh" in labels else ("src",) if "sxc" in labels else REQUEST_HARM
        overlap = (*overlap, *(("tox", "hte") if labels.keys() & {"hte", "tox", "vcr"} else ()))
        unknown = tuple(h for h in overlap if labels and h not in labels)
        yield example(row["text"], "contrastive", 1.0, unknown=unknown, group=row["family"], labels=labels)


def davidson_split(train: Path) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Davidson's tweets: (80 % to train on, fixed 20 % kept for evaluation)."""
    rows = _csv(train / "davidson" / "labeled_data.csv")
    random.Random(13).shuffle(rows)
    cut = len(rows) // 5
    return rows[cut:], rows[:cut]


def passages(path: Path, count: int, seed: int, low: int = 40, high: int = 160) -> list[str]:
    """``count`` random passages of ``low`` to ``high`` words from a Project Gutenberg text."""
    text = path.read_text(encoding="utf-8", errors="replace")
    begin, end = text.find("*** START"), text.find("*** END")
    words = text[begin + 80 if begin > 0 else 2000 : end if end > 0 else -20000].split()
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        length = draw.randint(low, high)
        start = draw.randrange(0, max(1, len(words) - length))
        found.append(" ".join(words[start : start + length]))
    return found


def _csv(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8", errors="replace"))


def _toxic_spans(train: Path) -> Iterator[Example]:
    """Civil Comments with typed spans from several workers: a type counts when half of them marked it."""
    folder = train / "toxic_spans"
    kinds: dict[str, set[str]] = {}
    for span in _csv(folder / "spans.csv"):
        kinds.setdefault(span["annotation"], set()).add(span["type"])
    votes: dict[str, list[set[str]]] = {}
    for row in _csv(folder / "annotations.csv"):
        clean = row["not toxic"] == "True"
        votes.setdefault(row["comment_id"], []).append(set() if clean else kinds.get(row["annotation"], set()))
    names = {"hte": "Identity based Attack", "vcr": "Threat"}
    for row in _csv(folder / "comments.csv"):
        cast = votes.get(row["comment_id"])
        if not cast:
            continue
        labels: dict[str, float] = {}
        for head, kind in names.items():
            share = sum(kind in v for v in cast) / len(cast)
            labels[head] = 1.0 if share >= 0.5 else NAN if share > 0 else 0.0
        toxic = sum(bool(v) for v in cast) / len(cast)
        labels["tox"] = 1.0 if toxic >= 0.6 else 0.0 if toxic <= 0.2 else NAN
        profane = sum("Profane/Obscene" in v for v in cast) / len(cast)
        labels["sxc"] = NAN if profane >= 0.3 else 0.0
        yield example(row["comment_text"], "toxic_spans", 1.0, labels)


def _edos(train: Path) -> Iterator[Example]:
    for row in _csv(train / "edos" / "edos_labelled_aggregated.csv"):
        sexist, threat = row["label_sexist"] == "sexist", row["label_category"].startswith("1.")
        if sexist:
            labels = {"hte": 1.0, "tox": NAN, "vcr": 1.0 if threat else NAN, "sxc": NAN}
        else:  # from forums where most is unpleasant in other ways
            labels = {"hte": NAN, "tox": NAN, "sxc": NAN, "vcr": 0.0}
        yield example(row["text"], "edos", 0.5, labels)


def _safenlp(train: Path) -> Iterator[Example]:
    for name, weight in (("implicitHate", 0.2), ("toxiGen", 0.5)):
        for row in _json(train / "safenlp" / f"{name}.json"):
            hate = row["label"] == "hate"
            labels = {"hte": 1.0, "tox": NAN, "vcr": NAN} if hate else {"hte": 0.0, "tox": NAN}
            yield example(row["text"], name, weight, labels)


def _toxigen(train: Path) -> Iterator[Example]:
    for path in sorted((train / "toxigen_demonstrations").glob("*.txt")):
        hate = path.name.startswith("hate")
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            labels = {"hte": 1.0, "tox": NAN, "vcr": NAN} if hate else {"hte": 0.0}
            yield example(line.strip(" -"), "toxigen_demonstrations", 1.0, labels)


def _hatemoji(train: Path) -> Iterator[Example]:
    for part in ("train", "validation", "test"):
        for row in _csv(train / "hatemoji_build" / f"{part}.csv"):
            hate, threat = row["label_gold"] == "1", row["type"] == "threateninglanguage"
            labels = {"hte": 1.0, "tox": NAN, "vcr": 1.0 if threat else NAN} if hate else {"hte": 0.0, "tox": NAN}
            yield example(row["text"], "hatemoji_build", 1.0, labels)


def _surge(train: Path) -> Iterator[Example]:
    for row in _csv(train / "surge_toxicity" / "toxicity_en.csv"):
        toxic = row["is_toxic"] == "Toxic"
        labels = {"tox": 1.0, "hte": NAN, "vcr": NAN, "sxc": NAN} if toxic else {}
        yield example(row["text"], "surge_toxicity", 1.0, labels)
    for row in _csv(train / "surge_profanity" / "profanity_en.csv"):
        kind, severity = row["category_1"], float(row["severity_rating"] or 1)
        labels = {
            "tox": 1.0 if severity >= 1.6 else NAN,
            "sxc": NAN,
            "hte": NAN,
            "any": 1.0 if severity >= 1.6 else NAN,
        }
        if kind.startswith("sexual anatomy"):
            labels["sxc"] = 1.0
        if kind.startswith(("racial", "sexual orientation", "mental disability", "religious")):
            labels["hte"] = 1.0 if severity >= 1.6 else NAN
        yield example(row["text"], "surge_profanity", 0.3, labels)


def _davidson(train: Path) -> Iterator[Example]:
    for row in davidson_split(train)[0]:
        kind = row["class"]
        if kind == "0":
            labels = {"hte": 1.0, "tox": 1.0, "vcr": NAN, "sxc": NAN}
        elif kind == "1":  # coarse, not necessarily harmful
            labels = {"hte": 0.0, "tox": 1.0, "vcr": 0.0, "sxc": NAN, "any": NAN}
        else:
            labels = {}
        yield example(row["tweet"], "davidson", 0.3, labels)


_HAZARDS: Final[Mapping[str, tuple[str, ...]]] = {
    "vcr": ("vcr",), "ncr": ("ncr",), "src": ("src",), "cse": ("src",), "iwp": ("iwp",), "ssh": ("ssh",), "hte":
    ("hte",), "dfm": ("dfm",), "prv": ("prv",), "ipv": ("ipv",), "sxc_prn": ("sxc",), "spc_ele": ("spc",), "spc_fin":
    ("spc",), "spc_hlt": ("spc",), "spc_lgl": ("spc",),
}  # fmt: skip


def _ailuminate(train: Path) -> Iterator[Example]:
    for language in ("en_us", "fr_fr"):
        path = train / "ailuminate_demo" / f"airr_official_1.0_demo_{language}_prompt_set_release.csv"
        for row in _csv(path):
            heads = _HAZARDS.get(row["hazard"], ())
            if not heads:
                continue
            labels = dict.fromkeys(heads, 1.0)
            mild = heads[0] in ("spc", "ipv", "dfm", "prv")
            if mild:
                labels["any"] = NAN
            unknown = [h for h in HEADS if h not in ("jbk", *heads)]
            source = "ailuminate_demo" if language == "en_us" else "ailuminate_demo_fr"
            yield example(row["prompt_text"], source, 1.0, unknown=unknown, labels={"any": 1.0, **labels})


_CATQA: Final[Mapping[str, tuple[str, ...]]] = {
    "Illegal Activity": ("ncr",), "Child Abuse": ("src",), "Hate/Harass/Violence": ("vcr",), "Malware Viruses":
    ("ncr",), "Physical Harm": ("vcr",), "Economic Harm": ("ncr",), "Fraud/Deception": ("ncr",), "Adult Content":
    ("sxc",), "Privacy Violation Activity": ("prv",), "Political Campaigning": (), "Tailored Financial Advice": (),
}  # fmt: skip


def _harmful(text: str, source: str, weight: float, heads: Sequence[str]) -> Example:
    unknown = [h for h in HEADS if h not in ("jbk", *heads)]
    return example(text, source, weight, unknown=unknown, labels={"any": 1.0, **dict.fromkeys(heads, 1.0)})


def _red_instruct(train: Path) -> Iterator[Example]:
    folder = train / "red_instruct"
    for kind, groups in _json(folder / "catqa_english.json").items():
        heads = _CATQA.get(kind, ())
        if not heads:
            continue
        for group, questions in groups.items():
            found, name = heads, group.lower()
            if "self-harm" in name or "suicide" in name:
                found = ("ssh",)
            elif kind.startswith("Hate"):
                found = ("hte",) if "hate" in name else ("tox",) if "harass" in name or "bull" in name else ("vcr",)
            elif "weapon" in name:
                found = ("iwp", "vcr")
            for question in questions:
                yield _harmful(question, "catqa", 1.0, found)
    for name in ("dangerousqa", "adversarialqa"):
        for question in _json(folder / f"{name}.json"):
            yield _harmful(question, name, 1.0, ("ncr",))
    for groups in _json(folder / "harmfulqa.json").values():
        for questions in groups.values():
            for question in questions:
                yield _harmful(question, "harmfulqa", 0.6, ("ncr",))


def _convabuse(train: Path) -> Iterator[Example]:
    """Several annotators per utterance: fractions of those who saw abuse."""
    for row in _csv(train / "convabuse" / "ConvAbuseEMNLPfull.csv"):

        def total(prefix: str, row: dict[str, str] = row) -> float:
            return sum(float(v) for k, v in row.items() if k and k.startswith(prefix) and v not in ("", None))

        abuse = total("is_abuse.-1") + total("is_abuse.-2") + total("is_abuse.-3")
        votes = abuse + total("is_abuse.1") + total("is_abuse.0")
        share = abuse / votes if votes else 0.0
        sexual = total("type.sex_harassment")
        identity = total("type.racist") + total("type.sexist") + total("type.homophobic") + total("type.transphobic")
        labels = {
            "tox": 1.0 if share >= 0.6 else 0.0 if share <= 0.1 else NAN,
            "sxc": 1.0 if sexual >= 1 and share >= 0.6 else NAN if sexual else 0.0,
            "hte": 1.0 if identity >= 1 and share >= 0.6 else NAN if identity else 0.0,
            "vcr": NAN if share > 0.1 else 0.0,
        }
        yield example(row["user"], "convabuse", 0.6, labels)


def _jailbreaks(train: Path) -> Iterator[Example]:
    unknown = [h for h in HEADS if h != "jbk"]
    for text in _json(train / "jailbreaks_in_the_wild" / "inthewild_jailbreak_llms.json"):
        yield example(text[:4000], "jailbreaks", 1.0, unknown=unknown, labels={"jbk": 1.0, "any": 1.0})


def _cyberseceval(train: Path) -> Iterator[Example]:
    """Even rows train, odd rows are kept for evaluation."""
    unknown = [h for h in HEADS if h != "jbk"]
    for row in _json(train / "cyberseceval" / "prompt_injection.json")[::2]:
        yield example(row["user_input"], "prompt_injection", 1.0, unknown=unknown, labels={"jbk": 1.0, "any": 1.0})
    for row in _json(train / "cyberseceval" / "mitre_frr.json")[::2]:
        yield example(row["mutated_prompt"], "mitre_frr", 1.0)


def _germeval(train: Path) -> Iterator[Example]:
    for line in (train / "de_germeval18" / "germeval2018.training.txt").read_text(encoding="utf-8").splitlines():
        text, coarse, fine = line.rsplit("\t", 2)
        hate = fine.strip() == "ABUSE"
        labels = {"tox": 1.0, "hte": 1.0 if hate else NAN, "vcr": NAN, "sxc": NAN} if coarse == "OFFENSE" else {}
        yield example(text, "germeval", 0.6, labels)


def _cold(train: Path) -> Iterator[Example]:
    rows = _csv(train / "zh_cold" / "train.csv")
    random.Random(5).shuffle(rows)
    for row in rows[:12000]:
        labels = {"tox": NAN, "hte": 1.0, "vcr": NAN} if row["label"] == "1" else {"tox": NAN}
        yield example(row["TEXT"], "cold", 0.4, labels)


def _benign(train: Path) -> Iterator[Example]:
    draw = random.Random(7)
    clinc = _json(train / "benign_clinc" / "data_full.json")
    requests = [row[0] for part in ("train", "oos_train") for row in clinc[part]]
    draw.shuffle(requests)
    for text in requests[:7000]:
        yield example(text, "clinc")
    for row in _csv(train / "benign_banking77" / "train.csv")[:4000]:
        yield example(row["text"], "banking")
    sentences = (
        (train / "benign_clinc" / "all_wiki_sents.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    )
    draw.shuffle(sentences)
    for text in sentences[:8000]:  # encyclopaedic sentences, a few about violence: reported, not done
        yield example(text, "wiki", 0.7)
    for line in (train / "benign_gsm8k" / "train.jsonl").read_text(encoding="utf-8").splitlines()[:2500]:
        row = json.loads(line)
        yield example(row["question"], "gsm8k")
        yield example(row["answer"], "gsm8k", 0.5)
    for line in (train / "benign_self_instruct" / "seed_tasks.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        first = row["instances"][0]
        yield example(f"{row['instruction']} {first['input']} {first['output']}", "self_instruct")
    for book, count, seed in (("1342", 2500, 1), ("140", 2500, 2)):
        for text in passages(train / "benign_books" / f"{book}.txt", count, seed):
            yield example(text, "books")
