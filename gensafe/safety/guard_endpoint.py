"""The line to a guard model behind an OpenAI-compatible endpoint (vLLM, llama.cpp, Ollama, ...) that the operator runs.

The endpoint sees what is judged, so it belongs on the operator's own machines: plain http is refused for any other host
than the local one, redirects and proxies are not followed. What cannot be read is an error, and an error is a block.
"""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.textfile import read_secret

MAX_ANSWER: Final = 1 << 20  # bytes, 1 MiB: a verdict is a line, a flood is refused. A round number, not measured


@dataclass(frozen=True, slots=True)
class Answer:
    """What the guard said, and the probability of its first token if the endpoint told (0.5..1)."""

    words: str
    confidence: float | None


class GuardEndpoint:
    """A chat-completions endpoint.

    Args:
        endpoint: Base URL, e.g. "http://127.0.0.1:8000/v1".
        model: Model name at the endpoint.
        timeout_s: Seconds a request may take.
        key: Bearer token, "" = none.
    """

    def __init__(self, endpoint: str, model: str, timeout_s: float = 10.0, key: str = "") -> None:
        self._url = endpoint.rstrip("/") + "/chat/completions"
        self.model = model
        self._timeout, self._key = timeout_s, key
        # no redirects and no proxies: the content goes to this host or nowhere
        self._opener = urllib.request.build_opener(_NoRedirect(), urllib.request.ProxyHandler({}))

    def ask(self, messages: list[dict[str, Any]], max_tokens: int = 64) -> Answer:
        """Send one conversation and read the first choice.

        Raises:
            SafetyUnavailable: no answer, or one that cannot be read.
        """
        body = {"model": self.model, "messages": messages, "temperature": 0, "max_tokens": max_tokens, "logprobs": True}
        answer = self._post(body)
        try:
            choice = answer["choices"][0]
            words = choice["message"]["content"]
            if not isinstance(words, str):
                raise TypeError
        except (KeyError, IndexError, TypeError) as error:
            raise SafetyUnavailable("the guard's answer has no text") from error
        return Answer(words, _confidence(choice))

    def _post(self, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers)  # noqa: S310 - checked by open_endpoint
        try:
            with self._opener.open(request, timeout=self._timeout) as reply:
                data = reply.read(MAX_ANSWER + 1)
            if len(data) > MAX_ANSWER:
                raise SafetyUnavailable("the guard's answer is too long")
            return json.loads(data)
        except (OSError, ValueError, RecursionError) as error:
            raise SafetyUnavailable(f"the guard does not answer: {type(error).__name__}") from error


def _confidence(choice: Mapping[str, Any]) -> float | None:
    try:
        value = math.exp(float(choice["logprobs"]["content"][0]["logprob"]))
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        return None
    # below one half the model would have said the other thing; never let an odd number open the gate
    return min(1.0, max(0.5, value)) if value == value else None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the base class's signature
        """Follow nothing."""
        return


def open_endpoint(options: Mapping[str, str]) -> GuardEndpoint:
    """Make the endpoint that options name: ``endpoint``, ``model``, ``timeout_s``, ``key_file``.

    Raises:
        ConfigError: an option is missing or wrong, or plain http to another host.
    """
    endpoint, model = (options.get(k, "") for k in ("endpoint", "model"))
    parts = urllib.parse.urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError("must be an http or https URL", field="endpoint")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise ConfigError("plain http only to the local host", field="endpoint", fix="use https")
    if not model:
        raise ConfigError("is missing", field="model")
    try:
        timeout = float(options.get("timeout_s", "10"))
    except ValueError:
        raise ConfigError("is not a number", field="timeout_s") from None
    key = read_secret(options["key_file"], "key_file") if "key_file" in options else ""
    if not 0 < timeout <= 600:
        raise ConfigError("must be above 0 and at most 600", field="timeout_s")
    return GuardEndpoint(endpoint, model, timeout, key)
