"""Models of the operator's own, in ONNX files beside a JSON description: opened, pinned, and fed with pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.hazards import CATEGORIES
from gensafe.core.textfile import read_text
from gensafe.media.shrink import resize
from gensafe.safety.onnx_session import Network

RESIZES: Final = ("stretch", "crop", "pad")
# pixels a side of a model's input; bounds memory, above what published classifiers take. A round number
MAX_SIZE: Final = 2048


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How pixels become the model's input: size (px), how a picture gets there, mean and deviation of each channel."""

    size: int
    fit: str = "stretch"  # one of RESIZES: "crop" keeps the middle square, "pad" adds black
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    deviation: tuple[float, float, float] = (0.5, 0.5, 0.5)
    channels_last: bool = False

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (H, W, 3) to float32 (1, 3, size, size), or (1, size, size, 3)."""
        height, width = pixels.shape[:2]
        if self.fit == "crop":
            side = min(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            pixels = pixels[top : top + side, left : left + side]
        elif self.fit == "pad":
            side = max(height, width)
            above, before = (side - height) // 2, (side - width) // 2
            pixels = np.pad(pixels, ((above, side - height - above), (before, side - width - before), (0, 0)))
        scaled = resize(pixels, self.size, self.size).astype(np.float32) / 255
        normal = (scaled - np.asarray(self.mean, np.float32)) / np.asarray(self.deviation, np.float32)
        shaped = normal if self.channels_last else normal.transpose(2, 0, 1)
        return np.ascontiguousarray(shaped[None], dtype=np.float32)


def read_description(options: Mapping[str, str], field: str) -> tuple[dict[str, Any], Path]:
    """The JSON object in the file that option ``description`` names, and the folder it lies in.

    Raises:
        ConfigError: missing, unreadable, or no JSON object.
    """
    path = Path(options.get("description", ""))
    if not options.get("description"):
        raise ConfigError(
            "is missing", field=f"{field}.description", fix="the path of a JSON file, see docs/safety-media.md"
        )
    try:
        data = json.loads(read_text(path, f"{field}.description"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: {error}", field=f"{field}.description") from error
    if not isinstance(data, dict):
        raise ConfigError("must be a JSON object", field=f"{field}.description")
    return data, path.parent


def read_preprocessing(data: Mapping[str, Any], field: str) -> Preprocessing:
    """The ``preprocessing`` object of a description.

    Raises:
        ConfigError: a value is missing or out of range.
    """
    table = data.get("preprocessing", {})
    if not isinstance(table, Mapping):
        raise ConfigError("must be an object", field=f"{field}.preprocessing")
    size = table.get("size")
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= MAX_SIZE:
        raise ConfigError(f"must be a whole number up to {MAX_SIZE}", field=f"{field}.preprocessing.size")
    fit = table.get("fit", "stretch")
    if fit not in RESIZES:
        raise ConfigError(f"must be one of {', '.join(RESIZES)}", field=f"{field}.preprocessing.fit")
    mean = _triple(table.get("mean", [0.5] * 3), f"{field}.preprocessing.mean")
    deviation = _triple(table.get("deviation", [0.5] * 3), f"{field}.preprocessing.deviation")
    if min(deviation) <= 0:
        raise ConfigError("must be above 0", field=f"{field}.preprocessing.deviation")
    return Preprocessing(size, fit, mean, deviation, bool(table.get("channels_last", False)))


def _triple(value: object, field: str) -> tuple[float, float, float]:
    good = isinstance(value, list) and len(value) == 3
    if not good or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in value):  # type: ignore[attr-defined]
        raise ConfigError("must be three numbers", field=field)
    red, green, blue = (float(v) for v in value)  # type: ignore[attr-defined]
    return red, green, blue


def read_categories(table: object, field: str, custom: Mapping[str, Any]) -> dict[str, str]:
    """A map of names to categories; "" = none.

    Raises:
        ConfigError: not a map of strings, or an unknown category.
    """
    if not isinstance(table, Mapping) or not table:
        raise ConfigError("must be an object of label: category", field=field)
    for name, category in table.items():
        if not isinstance(category, str) or (category and category not in CATEGORIES and category not in custom):
            known = ", ".join(sorted({*CATEGORIES, *custom}))
            raise ConfigError(f"{category!r} is not a category", field=f"{field}.{name}", fix=f'"" or one of {known}')
    return {str(name): str(category) for name, category in table.items()}


def open_model(folder: Path, data: Mapping[str, Any], key: str, field: str) -> tuple[Network, str]:
    """Open the ONNX file that ``data[key]`` names, relative to the description.

    The file's SHA-256 must be ``data[key + "_sha256"]`` where that is given. External data files are not followed: the
    model must be one file, so that the digest covers all of it.

    Returns:
        The session, on one core, and the digest ("sha256:<hex>").

    Raises:
        ConfigError: no name, or another digest.
        SafetyUnavailable: it cannot be read or is no model that ONNX Runtime takes.
    """
    name = data.get(key)
    if not isinstance(name, str) or not name:
        raise ConfigError("is missing", field=f"{field}.{key}")
    try:
        raw = (folder / name).read_bytes()
    except OSError as error:
        raise SafetyUnavailable(f"{field}.{key}: {name} cannot be read: {type(error).__name__}") from error
    digest = hashlib.sha256(raw).hexdigest()
    if data.get(f"{key}_sha256", digest) != digest:
        raise ConfigError(f"{name} has the SHA-256 {digest}", field=f"{field}.{key}_sha256")
    try:
        session = Network(raw, severity=4)
    except Exception as error:
        raise SafetyUnavailable(f"{field}.{key}: {name} is no usable ONNX model: {type(error).__name__}") from error
    return session, "sha256:" + digest


def run_model(session: Network, feeds: Mapping[str, NDArray[Any]], output: str) -> NDArray[np.float64]:
    """Run a model and return its output ``output`` ("" = the first) as float64.

    Raises:
        SafetyUnavailable: it fails, has no such output, or answers with values that are not numbers.
    """
    names = [o.name for o in session.outputs]
    if output and output not in names:
        raise SafetyUnavailable(f"the model has no output {output!r}; it has {', '.join(names)}")
    try:
        (found,) = session.run([output or names[0]], dict(feeds))
        values = np.asarray(found, dtype=np.float64)
    except Exception as error:
        raise SafetyUnavailable(f"the model failed: {type(error).__name__}") from error
    if not np.isfinite(values).all():
        raise SafetyUnavailable("the model answered with values that are not numbers")
    return values


def activated(logits: NDArray[np.float64], activation: str) -> NDArray[np.float64]:
    """Scores in 0..1 from logits (n,): "softmax", "sigmoid" or "none" (they are probabilities already)."""
    if activation == "softmax":
        shifted = np.exp(logits - logits.max())
        return np.asarray(shifted / shifted.sum(), np.float64)
    if activation == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -60, 60))), np.float64)
    return logits
