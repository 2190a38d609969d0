"""The shipped model under the shipped contract. Remote engines: ``test_openai_http``."""

from __future__ import annotations

import functools
from typing import ClassVar

import pytest

from gensafe.core.errors import ConfigError
from gensafe.core.types import Modality
from gensafe.testing.backend_contract import BackendContract
from gensafe_backends.symphony import plugin as symphony


@functools.lru_cache(maxsize=1)
def shipped():
    try:
        return symphony.create({})
    except ConfigError as error:
        pytest.skip(f"no checkpoint ships with this build: {error}")


class TestShippedSymphony(BackendContract):
    prompts: ClassVar = {
        Modality.TEXT: "tell me a story about a fox",
        Modality.IMAGE: "a red circle left of a blue square",
        Modality.AUDIO: "say one two three",
        Modality.VIDEO: "a blue square moving left",
    }
    outside: ClassVar = (Modality.IMAGE, "a photo of my dog", "dog")

    def make_backend(self):
        return shipped()
