"""Which kind of model a folder holds, and the backend for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gensafe.core.ports import Backend
from gensafe_backends.folder import checked, need
from gensafe_backends.transformers_any.source import NAME, OPTIONS, read_source

SPEECH: Final = "vits"  # ``model_type`` in ``config.json`` of MMS-TTS and other VITS voices
MUSIC: Final = "musicgen"


def create(options: Mapping[str, str]) -> Backend:
    """Look at the folder and take its digest; the weights are loaded at the first job.

    Raises:
        ConfigError: an option is unknown or not usable, a package is missing, or the folder holds no such model.
    """
    values = checked(options, OPTIONS, NAME)
    need("torch", "transformers", extra="transformers")
    source = read_source(values)
    if source.kind == SPEECH:
        from gensafe_backends.transformers_any.speech import SpeechBackend

        return SpeechBackend(source)
    if source.kind == MUSIC:
        from gensafe_backends.transformers_any.music import MusicBackend

        return MusicBackend(source)
    from gensafe_backends.transformers_any.text import TextBackend

    return TextBackend(source)
