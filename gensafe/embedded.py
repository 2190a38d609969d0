"""The whole chain in this process, without a server: for notebooks and batch jobs.

    import gensafe.embedded

    with gensafe.embedded.open("gensafe.toml") as here:
        output = here.generate("a red circle at the top left", "image")

The same gate, policy, marks, signature and log as a server's; verbs, results and errors are those of
``gensafe.client.Client``. One process at a time writes to a data directory: not beside a server on the same one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from gensafe.audit import entries
from gensafe.client import messages
from gensafe.client.messages import Assembler, File, Output, generate_request
from gensafe.client.results import Judgement, read
from gensafe.core import ids
from gensafe.core.config import Config, check_config, load_config
from gensafe.core.errors import InvalidRequest
from gensafe.core.types import Everything, Modality, VerificationReport
from gensafe.installation import Installation
from gensafe.pipeline import CallControl, Chain, Released, open_chain, run
from gensafe.pipeline.replay import load_output
from gensafe.server import convert
from gensafe.server.classify import MAX_ITEMS, classify_item
from gensafe.server.identity import LOCAL
from gensafe.v1 import generation_pb2
from gensafe.verify import VerifyContext, open_context, verify_bytes

OnEvent = Callable[[generation_pb2.GenerateResponse], None]


class Embedded:
    """An open installation. Close it, or use it as a context manager. Made by ``open``."""

    def __init__(self, chain: Chain, context: VerifyContext) -> None:
        self._chain = chain
        self._context = context

    def __enter__(self) -> Embedded:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait for what runs, and close engines, log and registry."""
        self._chain.close()

    def events(
        self, request: generation_pb2.GenerateRequest, *, timeout_s: float | None = None
    ) -> Iterator[generation_pb2.GenerateResponse]:
        """The events of one generation; closing the iterator cancels it.

        Raises:
            GensafeError: as ``pipeline.run``.
        """
        limit = self._chain.config.server.default_deadline_s if timeout_s is None else timeout_s
        control = CallControl(time.monotonic() + limit)
        for event in run(self._chain, convert.request_from_pb(request, LOCAL.tenant), control):
            if isinstance(event, Released):
                chunk = generation_pb2.MediaChunk(offset=0, data=event.recorded.signed.data)
                yield generation_pb2.GenerateResponse(media_chunk=chunk)
            yield convert.event_to_pb(event)

    def generate(
        self,
        prompt: str,
        modality: str,
        *,
        on_event: OnEvent | None = None,
        timeout_s: float | None = None,
        **options: Any,  # noqa: ANN401 - as the client's
    ) -> Output:
        """Generate one output; as ``Client.generate``.

        Raises:
            Blocked: policy stopped it.
            HeldForReview: a person must see it first.
            GensafeError: as ``pipeline.run``.
        """
        assembler = Assembler()
        for event in self.events(generate_request(prompt, modality, **options), timeout_s=timeout_s):
            assembler.take(event)
            if on_event is not None:
                on_event(event)
        return assembler.output()

    def fetch(self, record_id: str) -> bytes:
        """A released output again.

        Raises:
            NotFound: no such record.
        """
        return load_output(self._chain, ids.parse_record_id(record_id), LOCAL.tenant)[1]

    def verify(self, data: bytes, *, name: str = "", sidecar: bytes = b"", crjson: bool = False) -> VerificationReport:
        """Verify a file with this installation's keys, registry and log; logged as a server does."""
        report = verify_bytes(data, name=name, context=self._context, sidecar=sidecar or None, scope=Everything())
        outcomes = {check.name: check.outcome.value for check in report.checks}
        self._chain.log.append(entries.verify_performed(conclusion=report.conclusion.value, checks=outcomes))
        return report if crjson else replace(report, crjson="")

    def engine(self, modality: Modality) -> str:
        """Name of the engine that makes ``modality`` where no model is named; "" = none does."""
        try:
            return self._chain.engines.choose("", modality, frozenset())[0].name
        except InvalidRequest:
            return ""

    def classify(self, *items: str | Path | File) -> list[Judgement]:
        """Judge a batch of texts and files under the policy; as ``Client.classify``.

        Raises:
            InvalidRequest: none, or too many.
        """
        if not 0 < len(items) <= MAX_ITEMS:
            raise InvalidRequest(f"give 1 to {MAX_ITEMS} items", field="items")
        asked = [messages.classify_item(item) for item in items]
        return [read(Judgement, classify_item(self._chain, item, LOCAL.tenant)) for item in asked]


def open(config: Config | Path | str | None = None, *, data_dir: Path | str | None = None) -> Embedded:
    """Open an installation in this process.

    Args:
        config: A configuration, or its TOML file; None = defaults. ``GENSAFE_*`` variables count unless it is a
            ``Config``.
        data_dir: Keys, log and records, in place of the configuration's.

    Raises:
        ConfigError: the configuration is wrong.
        GensafeError: a part cannot be opened, or another process writes to this data directory.
    """
    if not isinstance(config, Config):
        path = None if config is None else Path(config)
        config = load_config(path, os.environ, data_dir=None if data_dir is None else str(data_dir))
    elif data_dir is not None:
        raise InvalidRequest("is part of the configuration that was given", field="data_dir")
    check_config(config)
    chain = open_chain(config)
    context = open_context(
        chain.keys,
        registry=chain.registry,
        log=chain.log,
        tokenizers=chain.engines.tokenizers,
        folder=Installation(config).trust_folder(),
    )
    return Embedded(chain, context)


__all__ = ["Embedded", "open"]
