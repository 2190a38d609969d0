"""The tokenizer of a folder: chats to ids, ids to text piece by piece."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final

from gensafe.core.errors import ConfigError, InvalidRequest
from gensafe.core.types import Message, Role
from gensafe_backends.folder import Folder

_HALF: Final = "\ufffd"  # what a decoder writes for the bytes of a character that is not whole yet


class Tokens:
    """Text to token ids and back.

    Raises:
        ConfigError: the folder holds no tokenizer that can be loaded without running its code.
    """

    def __init__(self, folder: Folder) -> None:
        from transformers import AutoTokenizer

        try:
            self.own: Any = AutoTokenizer.from_pretrained(folder.path, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # the library raises many kinds
            raise ConfigError(f"its tokenizer cannot be loaded: {type(error).__name__}", field="path") from error
        self.chats = bool(self.own.chat_template)
        special = {str(t) for t in self.own.all_special_tokens}
        special |= {str(t) for t in self.own.added_tokens_decoder.values() if t.special}
        self._control = tuple(sorted(t for t in special if t))

    def encode(self, text: str) -> list[int]:
        """Ids of ``text``; nothing in it is a control token."""
        return list(self.own(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])

    def chat(self, messages: Sequence[Message], prompt: str) -> list[int]:
        """Ids of a conversation up to where the answer starts; of the prompt alone where there is no chat template.

        Words of a caller are never read as control tokens: where they hold one, the template is filled with
        placeholders and their ids are put in afterwards.

        Raises:
            InvalidRequest: the template does not take such a conversation.
        """
        said = [(m.role.value, m.text) for m in (*messages, Message(Role.USER, prompt))]
        if not self.chats:
            return list(self.own(prompt, split_special_tokens=True)["input_ids"]) or self._start()
        if not any(control in text for _, text in said for control in self._control):
            return self._parsed(self._filled(said))
        places = {f"\u241f{secrets.token_hex(8)}\u241f": text for _, text in said}
        filled = self._filled([(role, mark) for (role, _), mark in zip(said, places, strict=True)])
        ids: list[int] = []
        for mark, text in places.items():
            before, found, filled = filled.partition(mark)
            if not found:
                raise InvalidRequest("the model's chat template leaves a message out", field="messages")
            ids += [*self._parsed(before), *self.encode(text)]
        return [*ids, *self._parsed(filled)]

    def _start(self) -> list[int]:
        start = self.own.bos_token_id
        return [int(start if start is not None else self.own.eos_token_id or 0)]

    def _filled(self, said: Sequence[tuple[str, str]]) -> str:
        turns = [{"role": role, "content": text} for role, text in said]
        try:
            return str(self.own.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        except Exception as error:  # jinja's errors, and those that a template raises on purpose
            raise InvalidRequest(
                "the model's chat template does not take such a conversation", field="messages"
            ) from error

    def _parsed(self, text: str) -> list[int]:
        return list(self.own(text, add_special_tokens=False)["input_ids"]) if text else []


class Decoder:
    """Ids to text, piece by piece; a character of several tokens comes when it is whole."""

    def __init__(self, tokens: Tokens) -> None:
        self._own, self._ids = tokens.own, list[int]()
        self._from = self._to = 0  # ids that give the text before the next piece; spaces depend on what is before

    def push(self, token: int) -> str:
        """The text that ``token`` completes."""
        self._ids.append(token)
        return self._piece(whole=True)

    def end(self) -> str:
        """What was left half."""
        return self._piece(whole=False)

    def _piece(self, *, whole: bool) -> str:
        before, after = self._text(self._ids[self._from : self._to]), self._text(self._ids[self._from :])
        if len(after) <= len(before) or (whole and after.endswith(_HALF)):
            return ""
        self._from, self._to = self._to, len(self._ids)
        return after[len(before) :]

    def _text(self, ids: list[int]) -> str:
        return str(self._own.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
