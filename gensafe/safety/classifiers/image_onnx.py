"""``image_onnx``: an image classifier of the operator's own, from a local ONNX file with a map of labels to categories.

No weights ship with it. Off unless a policy names it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.ports import Card
from gensafe.core.types import Assessment, ClassifierId, Coverage, Finding, Image, Media, Modality, Stage
from gensafe.safety.cards import read_card
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

NAME: Final = "image_onnx"
VERSION: Final = "1"
ACTIVATIONS: Final = ("softmax", "sigmoid", "none")


class ImageOnnx:
    """A model as a Classifier.

    Args:
        session: The model; its first input takes the picture.
        digest: "sha256:<hex>" of its file.
        preprocessing: How a picture becomes its input.
        labels: Label -> category in the order of its output; "" = a label that stands for nothing wrong.
        activation: One of ACTIVATIONS.
        output: Name of the output, "" = the first.
    """

    name = NAME
    modality = Modality.IMAGE

    def __init__(
        self,
        session: Network,
        digest: str,
        preprocessing: Preprocessing,
        labels: Mapping[str, str],
        activation: str = "softmax",
        output: str = "",
    ) -> None:
        self._session, self._digest, self._prepare = session, digest, preprocessing
        self._labels, self._activation, self._output = dict(labels), activation, output
        self._input = session.inputs[0].name

    def identity(self) -> ClassifierId:
        """The digest is the model file's."""
        return ClassifierId(NAME, VERSION, self._digest)

    def card(self) -> Card:
        """The card in docs/cards, with the categories of the label map."""
        categories = tuple(sorted({c for c in self._labels.values() if c}))
        return replace(read_card(NAME), categories=categories, weights_digest=self._digest)

    def assess(self, item: Media, stage: Stage) -> Assessment:
        """Score one picture; a category's score is the sum of its labels' for softmax, else the highest.

        Raises:
            SafetyUnavailable: not a picture, or the model failed or has not as many outputs as there are labels.
        """
        if not isinstance(item, Image):
            raise SafetyUnavailable("image_onnx reads images")
        values = run_model(self._session, {self._input: self._prepare(item.pixels)}, self._output).reshape(-1)
        if len(values) != len(self._labels):
            raise SafetyUnavailable(f"the model gives {len(values)} scores for {len(self._labels)} labels")
        scores: dict[str, float] = {}
        names: dict[str, str] = {}
        best: dict[str, float] = {}
        for (label, category), score in zip(self._labels.items(), activated(values, self._activation), strict=True):
            if not -1e-6 <= score <= 1 + 1e-6:
                raise SafetyUnavailable("the model's scores do not lie in 0..1: set its activation")
            if not category:
                continue
            known = scores.get(category, 0.0)
            scores[category] = known + float(score) if self._activation == "softmax" else max(known, float(score))
            if float(score) >= best.get(category, -1.0):
                best[category], names[category] = float(score), label
        findings = tuple(
            Finding(c, round(min(1.0, max(0.0, s)), 6), NAME, f"label {names[c]}"[:80]) for c, s in scores.items()
        )
        area = item.pixels.shape[0] * item.pixels.shape[1]
        return Assessment(findings, (Coverage(NAME, "pixels", area, area),))


def create(options: Mapping[str, str]) -> ImageOnnx:
    """Entry point.

    Args:
        options: ``description`` = path of a JSON file: ``model`` (ONNX file beside it), ``labels`` ({label: category}
            in the order of the outputs), ``preprocessing`` (``size``, ``fit``, ``mean``, ``deviation``,
            ``channels_last``), ``activation``, ``output``, ``model_sha256``.

    Raises:
        ConfigError: the description is missing or wrong; the field is named.
        SafetyUnavailable: the model cannot be opened.
    """
    data, folder = read_description(options, NAME)
    activation = data.get("activation", "softmax")
    if activation not in ACTIVATIONS:
        raise ConfigError(f"must be one of {', '.join(ACTIVATIONS)}", field=f"{NAME}.activation")
    labels = read_categories(data.get("labels"), f"{NAME}.labels", json.loads(options.get("custom", "{}")))
    if not any(labels.values()):
        raise ConfigError("names no category", field=f"{NAME}.labels")
    preprocessing = read_preprocessing(data, NAME)
    session, digest = open_model(folder, data, "model", NAME)
    return ImageOnnx(session, digest, preprocessing, labels, activation, str(data.get("output", "")))
