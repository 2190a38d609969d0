"""``text_onnx``: any ONNX text classifier with a label map. Off unless a policy names it.

A folder holds ``model.onnx`` (inputs input_ids and attention_mask, perhaps token_type_ids; output (batch, labels)
logits), a tokenizer (``vocab.txt`` of a BERT model in lower case, or ``tokenizer.json``, which needs the extra
``guards``), and ``labels.toml``:

    activation = "sigmoid"            # several labels at once; or "softmax": exactly one
    max_tokens = 512
    labels = ["toxic", "threat", "identity_hate", "neutral"]   # in the order of the output
    ignore = ["neutral"]              # means no harm
    [categories]                      # every other label has a category
    toxic = "tox"
    threat = "vcr"
    identity_hate = "hte"
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.digest import sha256
from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.hazards import CATEGORIES
from gensafe.core.ports import Card
from gensafe.core.types import Assessment, ClassifierId, Coverage, Finding, Media, Modality, Stage
from gensafe.safety.classifiers.text_screen import checked_text
from gensafe.safety.variants import readings
from gensafe.safety.wordpiece import WordPiece

NAME: Final = "text_onnx"
VERSION: Final = "1"
INPUTS: Final = ("input_ids", "attention_mask", "token_type_ids")
REPORT: Final = 0.05  # scores below this are not reported


@dataclass(frozen=True)
class LabelMap:
    """``columns[i]``: category of output i, "" if it means no harm."""

    columns: tuple[str, ...]
    softmax: bool
    max_tokens: int

    def scores(self, logits: NDArray[np.float32]) -> dict[str, float]:
        """Category -> highest score over the rows of (rows, labels) ``logits``."""
        z = logits.astype(np.float64)
        if self.softmax:
            z = np.exp(z - z.max(1, keepdims=True))
            p = z / z.sum(1, keepdims=True)
        else:
            p = 1 / (1 + np.exp(-np.clip(z, -30, 30)))
        found: dict[str, float] = {}
        for column, category in enumerate(self.columns):
            if category:
                found[category] = max(found.get(category, 0.0), float(p[:, column].max()))
        return found


class TextOnnx:
    """An ONNX text classifier as a Classifier.

    Args:
        folder: See the module.

    Raises:
        ConfigError: the label map is wrong.
        SafetyUnavailable: a file is missing, or the model does not have the shape the map says.
    """

    name = NAME
    modality = Modality.TEXT

    def __init__(self, folder: Path) -> None:
        try:
            model, table = (folder / "model.onnx").read_bytes(), (folder / "labels.toml").read_bytes()
        except OSError as error:
            raise SafetyUnavailable(f"{folder.name} lacks {Path(str(error.filename)).name}") from error
        self._labels = parse_labels(table)
        self._encode, vocabulary = _tokenizer(folder)
        try:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            options.log_severity_level = 3
            self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            self._inputs = [i.name for i in self._session.get_inputs()]
        except Exception as error:
            raise SafetyUnavailable(f"the model cannot be loaded: {type(error).__name__}") from error
        if not {"input_ids"} <= set(self._inputs) <= set(INPUTS):
            raise SafetyUnavailable(f"the model's inputs are {', '.join(self._inputs)}, not {', '.join(INPUTS)}")
        self._digest = sha256(model + table + vocabulary)
        self._logits("a")  # a wrong shape is found now and not at the first request

    def identity(self) -> ClassifierId:
        """With the digest of model, label map and tokenizer."""
        return ClassifierId(NAME, VERSION, self._digest)

    def card(self) -> Card:
        """What can be said without knowing the weights."""
        return Card(
            name=NAME,
            version=VERSION,
            modality=Modality.TEXT,
            categories=tuple(dict.fromkeys(c for c in self._labels.columns if c)),
            summary="An ONNX text classifier of the operator's, its labels mapped to categories by labels.toml.",
            trained_on=("see the model's own card",),
            measured={},
            not_covered=(
                "the quality of the weights: measure them with benchmarks.text_safety under a policy that names this",
                f"evidence further apart than a window of {self._labels.max_tokens} tokens",
            ),
            weights_digest=self._digest,
        )

    def assess(self, item: Media, stage: Stage) -> Assessment:
        """Score the text as written and normalised, in overlapping windows; the highest score counts.

        Raises:
            SafetyUnavailable: not a text, longer than MAX_CHARS, or the runtime failed.
        """
        text = checked_text(item)
        found: dict[str, float] = {}
        for reading in {text, *(r.text for r in readings(text))}:
            for category, score in self._labels.scores(self._logits(reading)).items():
                found[category] = max(found.get(category, 0.0), score)
        findings = tuple(Finding(c, s, NAME) for c, s in sorted(found.items()) if s >= REPORT)
        return Assessment(findings, (Coverage(NAME, "characters", len(text), len(text)),))

    def _logits(self, text: str) -> NDArray[np.float32]:
        """(windows, labels) logits."""
        rows = []
        try:
            for ids in self._windows(text):
                row = np.array([ids], np.int64)
                given = {"input_ids": row, "attention_mask": np.ones_like(row), "token_type_ids": np.zeros_like(row)}
                rows.append(np.asarray(self._session.run(None, {n: given[n] for n in self._inputs})[0], np.float32))
            logits = np.concatenate(rows)
        except Exception as error:
            raise SafetyUnavailable(f"the model failed: {type(error).__name__}") from error
        if logits.shape[1:] != (len(self._labels.columns),) or not np.isfinite(logits).all():
            raise SafetyUnavailable(f"the model's output is not (batch, {len(self._labels.columns)}) numbers")
        return logits

    def _windows(self, text: str) -> Iterator[list[int]]:
        first, ids, last = self._encode(text)
        size = self._labels.max_tokens - len(first) - len(last)
        for start in range(0, max(1, len(ids) - size // 2), size // 2):
            yield [*first, *ids[start : start + size], *last]
            if start + size >= len(ids):
                return


def parse_labels(table: bytes) -> LabelMap:
    """Read ``labels.toml``.

    Raises:
        ConfigError: unreadable, or a label without a category.
    """
    try:
        data = tomllib.loads(table.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid TOML: {error}", field="labels.toml") from error
    labels, ignored, mapped = data.get("labels"), data.get("ignore", []), data.get("categories", {})
    if not isinstance(labels, list) or not labels or not all(isinstance(n, str) for n in labels):
        raise ConfigError("must be a list of names in the order of the output", field="labels")
    if not isinstance(ignored, list) or not isinstance(mapped, Mapping):
        raise ConfigError("ignore is a list, categories a table", field="labels.toml")
    for name in labels:
        if (name in ignored) == (name in mapped):
            raise ConfigError(f"label {name!r} needs either a category or a place in `ignore`", field="categories")
    for name, category in mapped.items():
        if name not in labels:
            raise ConfigError(f"{name!r} is not among the labels", field="categories")
        if category not in CATEGORIES:
            raise ConfigError(f"{category!r} is not a category", field=f"categories.{name}")
    activation, longest = data.get("activation", "sigmoid"), data.get("max_tokens", 512)
    if activation not in ("sigmoid", "softmax"):
        raise ConfigError("must be sigmoid or softmax", field="activation")
    if isinstance(longest, bool) or not isinstance(longest, int) or not 8 <= longest <= 8192:
        raise ConfigError("must be a whole number from 8 to 8192", field="max_tokens")
    return LabelMap(tuple(mapped.get(n, "") for n in labels), activation == "softmax", longest)


_Encode = Callable[[str], tuple[list[int], list[int], list[int]]]


def _tokenizer(folder: Path) -> tuple[_Encode, bytes]:
    """(text -> (ids before, ids, ids after), the tokenizer's file)."""
    if (folder / "tokenizer.json").is_file():
        data = (folder / "tokenizer.json").read_bytes()
        try:
            from tokenizers import Tokenizer

            full = Tokenizer.from_str(data.decode("utf-8"))
        except ImportError as error:
            raise SafetyUnavailable("tokenizers is not installed", fix="pip install 'gensafe[guards]'") from error
        except Exception as error:
            raise SafetyUnavailable(f"tokenizer.json cannot be read: {type(error).__name__}") from error
        full.no_truncation()
        full.no_padding()

        def encode(text: str) -> tuple[list[int], list[int], list[int]]:
            found = full.encode(text.encode("utf-8", "replace").decode("utf-8"))
            special = found.special_tokens_mask
            head = next((i for i, s in enumerate(special) if not s), len(special))
            tail = next((i for i, s in enumerate(reversed(special)) if not s), 0)
            end = len(found.ids) - tail
            return found.ids[:head], found.ids[head:end], found.ids[end:]

        return encode, data
    try:
        data = (folder / "vocab.txt").read_bytes()
        pieces = WordPiece(data.decode("utf-8").splitlines())
    except (OSError, UnicodeDecodeError, KeyError) as error:
        raise SafetyUnavailable("no tokenizer.json and no usable vocab.txt beside the model") from error
    return lambda text: ([pieces.first], pieces.encode(text), [pieces.last]), data


def create(options: Mapping[str, str]) -> TextOnnx:
    """Entry point. Option: ``path``, the folder.

    Raises:
        ConfigError: no such folder, or a wrong label map.
        SafetyUnavailable: the model cannot be used.
    """
    folder = Path(options.get("path", ""))
    if not options.get("path") or not folder.is_dir():
        raise ConfigError("must be a folder with model.onnx, labels.toml and a tokenizer", field="path")
    return TextOnnx(folder)
