"""A mark that the remote engine says it makes, proved on each finished text before the record states it.

Options: ``engine_mark`` (``vllm-gumbel``, ``sglang-gumbel``: the ones that these servers make by their
``--watermark-config``; ``gensafe``: ours, by ``gensafe_watermark.text.vllm_processor`` in the server),
``mark_key_file`` (8 bytes little-endian, for SGLang with two keys 16, for ours 32),
``tokenizer`` (a folder with the model's ``tokenizer.json``), ``mark_context`` (tokens; as the server's).

The configuration is never believed: a text in which the mark is not found at p <= 1e-6 is recorded as not marked, with
what was found, whether it is too short or the server does not mark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gensafe.core import plugins
from gensafe.core.errors import ConfigError, GensafeError
from gensafe.core.ports import SamplingWatermark
from gensafe.core.types import MarkLevel

NAMES: Final = ("engine_mark", "mark_key_file", "tokenizer", "mark_context")
SCHEMES: Final = {  # engine_mark -> the plugin, and its name for the context
    "vllm-gumbel": ("vllm-gumbel", "context_width"),
    "sglang-gumbel": ("sglang-gumbel", "context_width"),
    "gensafe": ("text", "context"),
}


@dataclass(frozen=True, slots=True)
class EngineMark:
    """The scheme, the key and the tokenizer that a text is tested with."""

    scheme: SamplingWatermark
    key: bytes
    tokenizer: Any  # tokenizers.Tokenizer; the library has no types

    def state(self, text: str) -> str:
        """What the record may say of this text."""
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        found = self.scheme.detect(ids, self.key)
        said = f"p = {found.p_value:.1g} over {found.detail.get('scored', 0)} tokens"
        if found.level is MarkLevel.PRESENT:
            return f"{found.scheme}: made by the engine, found in the finished text, {said}"
        return f"not marked by sampling: the engine's mark {found.scheme} was not found, {said}"


def read_mark(options: Mapping[str, str]) -> EngineMark | None:
    """The mark that the options name, or None.

    Raises:
        ConfigError: an option is missing or not usable.
    """
    name = options.get("engine_mark", "")
    if not name:
        given = next((one for one in NAMES if options.get(one)), "")
        if given:
            raise ConfigError("says nothing without engine_mark", field=given, fix=f"engine_mark: {', '.join(SCHEMES)}")
        return None
    if name not in SCHEMES:
        raise ConfigError(f"no mark {name!r}", field="engine_mark", fix=f"one of: {', '.join(SCHEMES)}")
    plugin, width = SCHEMES[name]
    context = {width: options["mark_context"]} if options.get("mark_context") else {}
    try:
        scheme: SamplingWatermark = plugins.load("gensafe.watermarks", plugin, context)
    except ConfigError as error:
        raise ConfigError(error.message, field="mark_context") from None
    try:
        key = Path(options.get("mark_key_file", "")).read_bytes()
        scheme.detect((), key)  # a key of the wrong length is found now, not at the first text
    except OSError as error:
        raise ConfigError("the key file is not readable", field="mark_key_file") from error
    except GensafeError as error:
        raise ConfigError(error.message, field="mark_key_file", fix=error.fix) from error
    return EngineMark(scheme, key, _tokenizer(Path(options.get("tokenizer", ""))))


def _tokenizer(folder: Path) -> Any:  # noqa: ANN401 - the library has no types
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str((folder / "tokenizer.json").read_text("utf-8"))
    except Exception as error:  # the library raises plain Exception
        raise ConfigError("must be a folder with a readable tokenizer.json", field="tokenizer") from error
