"""A remote engine behind an OpenAI-compatible HTTP endpoint. Nothing is contacted unless ``url`` is configured.

Text comes from ``/chat/completions``, pictures from ``/images/generations``. What comes back goes through the same gate
as everything else, but two things cannot be had from such an endpoint and the generation record says so: its weights
cannot be pinned by digest, and it takes no sampling mark.

Options: ``url`` (base, e.g. ``https://engine.example/v1``; plain http on loopback only), ``model``, ``outputs``
(``text``, ``image`` or ``text,image``), ``api_key_file``, ``image_size`` (``1024x1024``), ``timeout_s``.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import ipaddress
import json
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from gensafe.core.errors import BackendError, BackendUnavailable, Cancelled, ConfigError, InvalidRequest, MediaError
from gensafe.core.ports import CancelCheck, SamplingMark, TextTokenizer
from gensafe.core.types import (
    BackendCapabilities,
    BackendEvent,
    Draft,
    GenerationJob,
    GenerationRecord,
    Image,
    Modality,
    Progress,
    Text,
    TextDelta,
)
from gensafe.media.codecs import encode
from gensafe.media.parts import read_parts_untrusted

VERSION: Final = "1"
MAX_RESPONSE: Final = 64 << 20  # bytes; a picture as base64 fits, a flood does not
MAX_LINE: Final = 1 << 20
NOT_MARKED: Final = "not marked by sampling: the remote engine takes no mark"
_OPTIONS: Final = frozenset({"url", "model", "outputs", "api_key_file", "image_size", "timeout_s"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the engine is and how to speak to it."""

    scheme: str
    host: str
    port: int
    path: str
    model: str
    outputs: frozenset[Modality]
    key: str
    image_size: str
    timeout_s: float


def create(options: Mapping[str, str]) -> OpenAiHttpBackend:
    """Make the backend from its options.

    Raises:
        ConfigError: an option is missing, unknown or not usable.
    """
    unknown = sorted(set(options) - _OPTIONS)
    if unknown:
        raise ConfigError(f"unknown option of openai_http: {unknown[0]}", field=unknown[0])
    url, model = options.get("url", ""), options.get("model", "")
    if not url or not model:
        raise ConfigError("openai_http needs url and model", field="url" if not url else "model")
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        timeout = float(options.get("timeout_s", "120"))
    except ValueError as error:
        raise ConfigError(f"openai_http: {error}", field="url") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ConfigError("not a base URL", field="url", fix="https://host/v1, without user, query or fragment")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ConfigError("plain http is for loopback only", field="url", fix="use https")
    if not 0 < timeout <= 3600:
        raise ConfigError("outside 0..3600", field="timeout_s")
    try:
        outputs = frozenset(Modality(name.strip()) for name in options.get("outputs", "text").split(","))
    except ValueError as error:
        raise ConfigError(str(error), field="outputs") from error
    if not outputs <= {Modality.TEXT, Modality.IMAGE}:
        raise ConfigError("only text and image", field="outputs")
    key = ""
    if options.get("api_key_file"):
        try:
            key = Path(options["api_key_file"]).read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise ConfigError("the key file is not readable", field="api_key_file") from error
        if not key or not key.isprintable():
            raise ConfigError("the key file holds no key", field="api_key_file")
    size = options.get("image_size", "1024x1024")
    path = parts.path.rstrip("/")
    return OpenAiHttpBackend(Endpoint(parts.scheme, parts.hostname, port, path, model, outputs, key, size, timeout))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class OpenAiHttpBackend:
    """See the module's text."""

    name = "openai_http"
    version = VERSION

    def __init__(self, endpoint: Endpoint) -> None:
        self._end = endpoint

    def capabilities(self) -> BackendCapabilities:
        """Text and pictures out as configured; pictures in for text."""
        return BackendCapabilities(
            outputs=self._end.outputs,
            inputs=frozenset({Modality.TEXT, Modality.IMAGE}),
            sampling_marks=False,
            streaming_text=True,
            description=f"remote engine {self._end.model!r}; weights not pinned, text not marked by sampling",
        )

    def models(self) -> Mapping[str, str]:
        """The configured model. Its weights lie elsewhere: no digest."""
        return {self._end.model: ""}

    def tokenizer(self) -> TextTokenizer | None:
        """None: the remote tokenizer is not known."""
        return None

    def generate(self, job: GenerationJob, mark: SamplingMark | None, cancelled: CancelCheck) -> Iterator[BackendEvent]:
        """See ``Backend.generate``. ``cancelled`` is asked before the request and at every line of a stream."""
        if job.modality not in self._end.outputs:
            raise InvalidRequest(f"this engine gives no {job.modality}", field="modality")
        if cancelled():
            raise Cancelled("the request was cancelled before it was sent")
        if job.modality is Modality.TEXT:
            yield from self._text(job, cancelled)
        else:
            yield from self._image(job, cancelled)

    def _text(self, job: GenerationJob, cancelled: CancelCheck) -> Iterator[BackendEvent]:
        body: dict[str, Any] = {
            "model": self._end.model,
            "messages": [{"role": "user", "content": _content(job)}],
            "seed": job.seed & 0x7FFFFFFF,
            "stream": True,
        }
        if job.max_tokens:
            body["max_tokens"] = job.max_tokens
        pieces: list[str] = []
        for event in self._stream("/chat/completions", body):
            if cancelled():
                raise Cancelled("the request was cancelled while the engine was writing")
            piece = _delta(event)
            if piece:
                pieces.append(piece)
                yield TextDelta(piece)
        if not pieces:
            raise BackendError("the remote engine wrote nothing")
        yield Draft(Text("".join(pieces)), self._record(job, len(pieces), "pieces of the stream, not tokens"))

    def _image(self, job: GenerationJob, cancelled: CancelCheck) -> Iterator[BackendEvent]:
        if any(not isinstance(m, Text) for m in job.inputs):
            raise InvalidRequest("this engine draws from words only", field="inputs")
        yield Progress(0, 1)
        body = {
            "model": self._end.model,
            "prompt": _prompt(job),
            "n": 1,
            "size": self._end.image_size,
            "response_format": "b64_json",
        }
        answer = self._post("/images/generations", body)
        if cancelled():
            raise Cancelled("the request was cancelled while the engine was drawing")
        try:
            data = base64.b64decode(answer["data"][0]["b64_json"], validate=True)
        except (KeyError, IndexError, TypeError, binascii.Error, ValueError) as error:
            raise BackendError("the remote engine's answer holds no picture") from error
        try:
            parts = read_parts_untrusted(data)
        except MediaError as error:
            raise BackendError(f"the remote engine's picture cannot be read: {error.message}") from error
        media = parts[0].media
        if not isinstance(media, Image):
            raise BackendError("the remote engine's answer is not a picture")
        if len(parts) > 1:  # one picture was asked for, and one is judged: frames are not dropped unseen
            raise BackendError(f"the remote engine's answer holds more than one picture: {parts[1].name}")
        yield Progress(1, 1)
        yield Draft(media, self._record(job, 0, "the endpoint does not state tokens and takes no seed for pictures"))

    def _record(self, job: GenerationJob, tokens: int, note: str) -> GenerationRecord:
        return GenerationRecord(
            backend=self.name,
            model=self._end.model,
            model_version="unstated",
            weights_digest="",
            seed=job.seed,
            tokens=tokens,
            sampling_mark=NOT_MARKED,
            parameters={"endpoint": f"{self._end.scheme}://{self._end.host}:{self._end.port}{self._end.path}"},
            notes=("weights of a remote engine cannot be pinned", note),
        )

    # --- HTTP -----------------------------------------------------------------------------------------------------

    def _request(
        self, path: str, body: Mapping[str, Any]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        end = self._end
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        if end.key:
            headers["Authorization"] = f"Bearer {end.key}"
        connection: http.client.HTTPConnection
        if end.scheme == "https":
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(end.host, end.port, timeout=end.timeout_s, context=context)
        else:
            connection = http.client.HTTPConnection(end.host, end.port, timeout=end.timeout_s)
        try:
            connection.request("POST", end.path + path, json.dumps(body).encode("utf-8"), headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise BackendUnavailable(f"the remote engine did not answer: {type(error).__name__}") from error
        if response.status != 200:  # redirects too: where a prompt goes is configured, not negotiated
            connection.close()
            retry = response.status in (429, 502, 503, 504)
            kind = BackendUnavailable if retry else BackendError
            raise kind(f"the remote engine answered with status {response.status}")
        return connection, response

    def _post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        connection, response = self._request(path, body)
        try:
            data = response.read(MAX_RESPONSE + 1)
        except (OSError, http.client.HTTPException) as error:
            raise BackendUnavailable("the remote engine broke off") from error
        finally:
            connection.close()
        if len(data) > MAX_RESPONSE:
            raise BackendError("the remote engine's answer is too large")
        return _object(data)

    def _stream(self, path: str, body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Server-sent events: one JSON object per ``data:`` line, ``[DONE]`` at the end."""
        connection, response = self._request(path, body)
        total = 0
        try:
            while line := response.readline(MAX_LINE + 1):
                total += len(line)
                if len(line) > MAX_LINE or total > MAX_RESPONSE:
                    raise BackendError("the remote engine's answer is too large")
                text = line.strip()
                if not text.startswith(b"data:"):
                    continue
                payload = text[5:].strip()
                if payload == b"[DONE]":
                    return
                yield _object(payload)
            raise BackendError("the remote engine's stream ended early")
        except (OSError, http.client.HTTPException) as error:
            raise BackendUnavailable("the remote engine broke off") from error
        finally:
            connection.close()


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BackendError("the remote engine's answer is not JSON") from error
    if not isinstance(value, dict):
        raise BackendError("the remote engine's answer is not a JSON object")
    return value


def _delta(event: Mapping[str, Any]) -> str:
    """The text of one streamed event; "" for events that carry none (roles, usage, keep-alives)."""
    try:
        piece = event["choices"][0]["delta"]["content"]
    except (KeyError, IndexError, TypeError):
        return ""
    return piece if isinstance(piece, str) else ""


def _prompt(job: GenerationJob) -> str:
    return "\n\n".join([*(m.text for m in job.inputs if isinstance(m, Text)), job.prompt])


def _content(job: GenerationJob) -> str | list[dict[str, Any]]:
    """The user message: plain text, or parts when pictures come with it."""
    if any(not isinstance(m, Text | Image) for m in job.inputs):
        raise InvalidRequest("this engine reads text and pictures only", field="inputs")
    pictures = [m for m in job.inputs if isinstance(m, Image)]
    if not pictures:
        return _prompt(job)
    parts: list[dict[str, Any]] = [{"type": "text", "text": _prompt(job)}]
    for picture in pictures:
        data = base64.b64encode(encode(picture, "image/png")).decode("ascii")
        parts.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}})
    return parts
