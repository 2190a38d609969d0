"""The tokenizer, from the weights' own metadata, and the chat format.

Byte-level BPE (GPT-2's byte alphabet) with single digits split off ("smollm" in llama.cpp). Control tokens are placed
by id and never parsed out of text, so that a prompt that contains ``<|im_end|>`` stays a prompt.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any, Final

from gensafe.core.errors import BackendUnavailable
from gensafe.core.types import Message, Role
from gensafe_backends.smollm2.gguf import Gguf

SYSTEM: Final = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
"""The system message that the model was tuned with (its model card's chat template)."""


class Tokens:
    """Text to token ids and back."""

    def __init__(self, file: Gguf) -> None:
        try:
            import tokenizers
        except ImportError as error:
            raise BackendUnavailable("smollm2 needs the package tokenizers") from error
        said = file.metadata
        self._strings: list[str] = said["tokenizer.ggml.tokens"]
        ids = {text: number for number, text in enumerate(self._strings)}
        merges = [tuple(pair.split(" ", 1)) for pair in said["tokenizer.ggml.merges"]]
        bpe: Any = tokenizers.Tokenizer(tokenizers.models.BPE(ids, merges))
        digits = tokenizers.pre_tokenizers.Digits(individual_digits=True)
        level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        bpe.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([digits, level])
        self._bpe = bpe
        self.start, self.end, self.end_of_text = (ids[name] for name in ("<|im_start|>", "<|im_end|>", "<|endoftext|>"))
        self._bytes = _byte_alphabet()
        self.control = frozenset(n for n, kind in enumerate(said["tokenizer.ggml.token_type"]) if kind == 3)

    def encode(self, text: str) -> list[int]:
        """Ids of ``text``; nothing in it is a control token."""
        return list(self._bpe.encode(text, add_special_tokens=False).ids)

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for; none for control tokens."""
        if token in self.control:
            return b""
        return bytes(self._bytes[c] for c in self._strings[token])

    def chat(self, messages: Sequence[Message], prompt: str) -> tuple[list[int], int]:
        """Ids of a conversation up to where the answer starts, and how many of them are the system message."""
        said = list(messages)
        if not said or said[0].role is not Role.SYSTEM:
            said.insert(0, Message(Role.SYSTEM, SYSTEM))
        ids: list[int] = []
        system = 0
        for message in (*said, Message(Role.USER, prompt)):
            ids += [self.start, *self.encode(f"{message.role.value}\n{message.text}"), self.end, *self.encode("\n")]
            system = system or len(ids)
        return [*ids, self.start, *self.encode("assistant\n")], system


class Writer:
    """Tokens to text, piece by piece; a character of several tokens comes when it is whole."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        """The text that ``token`` completes."""
        return self._decoder.decode(self._tokens.token_bytes(token))


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's letters for bytes: printable Latin-1 stands for itself, the other bytes for U+0100 and up, in order."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in plain]
    return {chr(b): b for b in plain} | {chr(0x100 + n): b for n, b in enumerate(others)}
