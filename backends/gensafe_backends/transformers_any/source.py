"""What is known of a model's folder before anything is loaded, and the options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gensafe.core.errors import ConfigError
from gensafe_backends.folder import Folder, number, read_folder

VERSION: Final = "1"
NAME: Final = "transformers_any"
OPTIONS: Final = {
    "path": "", "name": "", "device": "cpu", "dtype": "float32", "context": "4096", "max_tokens": "512",
}  # fmt: skip
MOST_CONTEXT: Final = 1 << 20  # tokens; beyond any model that is published. A round number


@dataclass(frozen=True, slots=True)
class Source:
    """What is known before anything is loaded.

    Args:
        folder: The files.
        name: Of the model.
        kind: ``model_type`` of its configuration.
        said: Its configuration.
        context: Tokens of prompt and answer together, by option; the model's own bound may be lower.
    """

    folder: Folder
    name: str
    kind: str
    said: Mapping[str, Any]
    device: str
    dtype: str
    context: int
    max_tokens: int


def read_source(values: Mapping[str, str]) -> Source:
    """Look at the folder that the options name and take its digest.

    Raises:
        ConfigError: an option is not usable, or the folder holds no model.
    """
    folder = read_folder(values["path"], "config.json")
    try:
        said = json.loads((folder.path / "config.json").read_text("utf-8"))
        kind = said["model_type"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError("its config.json names no model_type", field="path") from error
    context = number(values, "context", 16, MOST_CONTEXT)
    return Source(
        folder=folder,
        name=values["name"] or folder.path.resolve().name,
        kind=str(kind),
        said=said,
        device=values["device"],
        dtype=values["dtype"],
        context=context,
        max_tokens=number(values, "max_tokens", 1, context),
    )
