"""A gateway under test, seen from outside: one request, and whether any answer of the model came back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from gensafe.core.errors import BackendUnavailable

MAX_ANSWER: Final = 8 << 20  # bytes that are read of an answer; a chat answer has some thousand
CHAT: Final = "/chat/completions"


@dataclass(frozen=True, slots=True)
class Seen:
    """What came back. ``status`` 0 = nothing within the time limit; ``text``: of the model, as far as it arrived."""

    status: int
    text: str = ""
    finish: str = ""
    body: str = ""

    @property
    def answered(self) -> bool:
        """Whether the model's words, or any of them, were let through."""
        return bool(self.text.strip())

    @property
    def says(self) -> str:
        """In a few words, for a report."""
        if self.status == 0:
            return "no answer within the time limit"
        return f"status {self.status}" + (f", {len(self.text)} characters of an answer" if self.answered else "")


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where it is and how it is asked.

    Args:
        url: Base URL, with /v1.
        model: Model name.
        key: Bearer token; "" = none.
        timeout_s: Seconds that a request may take.
    """

    url: str
    model: str
    key: str = ""
    timeout_s: float = 30.0

    def chat(self, messages: list[dict[str, Any]], *, stream: bool = False, **more: object) -> Seen:
        """Ask for a chat completion.

        Raises:
            BackendUnavailable: the gateway cannot be reached.
        """
        body = {"model": self.model, "messages": messages, "stream": stream, **more}
        return self.post(json.dumps(body).encode())

    def post(self, body: bytes, headers: Mapping[str, str] | None = None) -> Seen:
        """Post a body as it is; ``headers`` None = with the key.

        Raises:
            BackendUnavailable: the gateway cannot be reached.
        """
        if headers is None:
            headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        sent = {"content-type": "application/json", **headers}
        said, status, kind = b"", 0, ""
        try:
            with (
                # without TLS no certificates are read, which takes longer than the request
                httpx.Client(timeout=self.timeout_s, trust_env=False, verify=self.url.startswith("https:")) as client,
                client.stream("POST", self.url.rstrip("/") + CHAT, content=body, headers=sent) as answer,
            ):
                status, kind = answer.status_code, answer.headers.get("content-type", "")
                for piece in answer.iter_bytes():
                    said += piece
                    if len(said) > MAX_ANSWER:
                        break
        except httpx.ConnectError as error:
            raise BackendUnavailable(f"{self.url} cannot be reached: {error}") from None
        except httpx.HTTPError:
            if not said:
                return Seen(0 if status < 400 else status)
        return _seen(status, kind, said.decode("utf-8", "replace"))


def _seen(status: int, kind: str, body: str) -> Seen:
    if status >= 400:
        return Seen(status, body=body)
    values = _events(body) if kind.startswith("text/event-stream") else _object(body)
    text, finish = "", ""
    for value in values:
        for choice in value.get("choices") or []:
            if not isinstance(choice, dict):
                continue
            finish = str(choice.get("finish_reason") or finish)
            part = choice.get("delta") or choice.get("message") or {}
            text += str(part.get("content") or "") + str(choice.get("text") or "")
    return Seen(status, text, finish, body)


def _object(body: str) -> Iterator[dict[str, Any]]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return
    if isinstance(value, dict):
        yield value


def _events(body: str) -> Iterator[dict[str, Any]]:
    for line in body.splitlines():
        if line.startswith("data:"):
            yield from _object(line[5:].strip())
