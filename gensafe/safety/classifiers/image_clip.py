"""``image_clip``: zero-shot categories by a CLIP or SigLIP model of the operator's own, from local ONNX files.

A category is described by sentences, beside sentences for what is fine. The picture's embedding is compared with
theirs: CLIP takes a softmax over all sentences, so that the harmless ones draw the score away; SigLIP judges each
sentence alone. No weights ship with it. Off unless a policy names it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.ports import Card
from gensafe.core.types import Assessment, ClassifierId, Coverage, Finding, Image, Media, Modality, Stage
from gensafe.safety.cards import read_card
from gensafe.safety.clip_tokens import read_tokens
from gensafe.safety.onnx_model import (
    Preprocessing,
    activated,
    open_model,
    read_categories,
    read_description,
    read_preprocessing,
    run_model,
)
from gensafe.safety.onnx_session import Network

NAME: Final = "image_clip"
VERSION: Final = "1"
FAMILIES: Final = ("clip", "siglip")
CONTEXT: Final = 77  # CLIP's text length


class ImageClip:
    """An image encoder and embedded sentences as a Classifier.

    Args:
        session: The image encoder; its first input takes the picture.
        digest: "sha256:<hex>" over the encoder, the sentences' embeddings and their categories.
        preprocessing: How a picture becomes its input.
        sentences: float (n, d) embeddings.
        categories: The category of each sentence, "" = harmless.
        family: One of FAMILIES.
        scale: Factor on the cosine (CLIP: 100).
        bias: Added to it (SigLIP).
        output: Name of the embedding output, "" = the first.
    """

    name = NAME
    modality = Modality.IMAGE

    def __init__(
        self,
        session: Network,
        digest: str,
        preprocessing: Preprocessing,
        sentences: NDArray[np.float64],
        categories: tuple[str, ...],
        family: str = "clip",
        scale: float = 100.0,
        bias: float = 0.0,
        output: str = "",
    ) -> None:
        self._session, self._digest, self._prepare, self._output = session, digest, preprocessing, output
        self._sentences = sentences / np.linalg.norm(sentences, axis=1, keepdims=True)
        self._categories, self._family, self._scale, self._bias = categories, family, scale, bias
        self._input = session.inputs[0].name

    def identity(self) -> ClassifierId:
        """The digest covers the encoder and the sentences."""
        return ClassifierId(NAME, VERSION, self._digest)

    def card(self) -> Card:
        """The card in docs/cards, with the categories that the sentences describe."""
        categories = tuple(sorted({c for c in self._categories if c}))
        return replace(read_card(NAME), categories=categories, weights_digest=self._digest)

    def assess(self, item: Media, stage: Stage) -> Assessment:
        """Score one picture.

        Raises:
            SafetyUnavailable: not a picture, or the encoder failed or gives embeddings of another size.
        """
        if not isinstance(item, Image):
            raise SafetyUnavailable("image_clip reads images")
        vector = run_model(self._session, {self._input: self._prepare(item.pixels)}, self._output).reshape(-1)
        if vector.size != self._sentences.shape[1] or not np.linalg.norm(vector):
            raise SafetyUnavailable(f"the encoder gives {vector.size} values, sentences {self._sentences.shape[1]}")
        logits = self._scale * (self._sentences @ (vector / np.linalg.norm(vector))) + self._bias
        shares = activated(logits, "softmax" if self._family == "clip" else "sigmoid")
        scores: dict[str, float] = {}
        for category, share in zip(self._categories, shares, strict=True):
            if category:
                known = scores.get(category, 0.0)
                scores[category] = known + float(share) if self._family == "clip" else max(known, float(share))
        findings = tuple(Finding(c, round(min(1.0, s), 6), NAME, "by description") for c, s in scores.items())
        area = item.pixels.shape[0] * item.pixels.shape[1]
        return Assessment(findings, (Coverage(NAME, "pixels", area, area),))


def create(options: Mapping[str, str]) -> ImageClip:
    """Entry point.

    Args:
        options: ``description`` = path of a JSON file: ``image_model`` (ONNX file beside it), ``sentences``
            ({sentence: category or ""}), ``preprocessing``, ``family``, ``scale``, ``bias``, ``output``; and the
            sentences' embeddings either from ``text_model`` with ``vocabulary`` and ``merges`` (CLIP), or as a NumPy
            file ``embeddings``, a row for each sentence (any family).

    Raises:
        ConfigError: the description is missing or wrong; the field is named.
        SafetyUnavailable: a model cannot be opened or fails.
    """
    data, folder = read_description(options, NAME)
    family = data.get("family", "clip")
    if family not in FAMILIES:
        raise ConfigError(f"must be one of {', '.join(FAMILIES)}", field=f"{NAME}.family")
    sentences = read_categories(data.get("sentences"), f"{NAME}.sentences", json.loads(options.get("custom", "{}")))
    if not any(sentences.values()) or (family == "clip" and all(sentences.values())):
        raise ConfigError("needs a sentence for a category and, for clip, a harmless one", field=f"{NAME}.sentences")
    preprocessing = read_preprocessing(data, NAME)
    session, digest = open_model(folder, data, "image_model", NAME)
    vectors = _embedded(data, folder, tuple(sentences))
    scale, bias = _number(data, "scale", 100.0), _number(data, "bias", 0.0)
    about = json.dumps([digest, list(sentences.items()), family, scale, bias]).encode() + vectors.tobytes()
    joined = "sha256:" + hashlib.sha256(about).hexdigest()
    output = str(data.get("output", ""))
    return ImageClip(session, joined, preprocessing, vectors, tuple(sentences.values()), family, scale, bias, output)


def _number(data: Mapping[str, Any], key: str, default: float) -> float:
    value = data.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError("must be a number", field=f"{NAME}.{key}")
    return float(value)


def _embedded(data: Mapping[str, Any], folder: Path, sentences: tuple[str, ...]) -> NDArray[np.float64]:
    """(n, d) embeddings of the sentences, read or computed."""
    if "embeddings" in data:
        try:
            vectors = np.asarray(np.load(folder / str(data["embeddings"]), allow_pickle=False), dtype=np.float64)
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot be read: {type(error).__name__}", field=f"{NAME}.embeddings") from error
    else:
        tokens = read_tokens(folder / str(data.get("vocabulary", "")), folder / str(data.get("merges", "")))
        session, _ = open_model(folder, data, "text_model", NAME)
        ids = np.array([tokens.encode(s, CONTEXT) for s in sentences], np.int64)
        feeds: dict[str, NDArray[Any]] = {}
        for wanted in session.inputs:
            kind = np.int32 if "int32" in wanted.type else np.int64
            feeds[wanted.name] = np.ones_like(ids, kind) if "mask" in wanted.name else ids.astype(kind)
        vectors = run_model(session, feeds, str(data.get("text_output", "")))
    if vectors.ndim != 2 or len(vectors) != len(sentences) or not np.linalg.norm(vectors, axis=1).all():
        raise ConfigError(f"must be ({len(sentences)}, d), is {vectors.shape}", field=f"{NAME}.embeddings")
    return vectors
