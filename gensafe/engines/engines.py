"""Which engine serves a request: the one of the model that it names, else the first that can do what it asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gensafe.core.errors import InvalidRequest
from gensafe.core.ports import TextTokenizer
from gensafe.core.types import Modality
from gensafe.engines.engine import Engine
from gensafe.engines.process import ProcessBackend


class Engines:
    """The engines in the order of the configuration; earlier ones are preferred."""

    def __init__(self, engines: Iterable[Engine]) -> None:
        self._engines = tuple(engines)
        self._by_model = {model: engine for engine in reversed(self._engines) for model in engine.models}
        self._by_name = {engine.name: engine for engine in self._engines}

    def __iter__(self) -> Iterator[Engine]:
        return iter(self._engines)

    def warm(self) -> None:
        """Let engines that have something to prepare do it before the first request, in the background."""
        for engine in self._engines:
            if isinstance(engine.backend, ProcessBackend):
                engine.backend.warm()

    def close(self) -> None:
        """End the processes of the engines that have one."""
        for engine in self._engines:
            end = getattr(engine.backend, "close", None)
            if end is not None:
                end()

    def models(self) -> tuple[str, ...]:
        """Names of all models."""
        return tuple(sorted(self._by_model))

    def tokenizers(self) -> tuple[TextTokenizer, ...]:
        """Of the engines whose texts carry a sampling mark."""
        found = (engine.backend.tokenizer() for engine in self._engines if engine.can.sampling_marks)
        return tuple(tokenizer for tokenizer in found if tokenizer is not None)

    def of(self, model: str) -> Engine:
        """The engine of a model that ``choose`` named.

        Raises:
            InvalidRequest: no engine serves it (any longer).
        """
        engine = self._by_model.get(model)
        if engine is None:
            raise InvalidRequest(f"no model {model[:80]!r}", field="model", fix=f"one of: {', '.join(self.models())}")
        return engine

    def tokenizer(self, *models: str) -> TextTokenizer | None:
        """The tokenizer of the first of ``models`` that is served here: of what made a text, maybe before a restart."""
        found = next((self._by_model[model] for model in models if model in self._by_model), None)
        return found.backend.tokenizer() if found else None

    def fallback(self, engine: Engine) -> Engine | None:
        """The engine that takes over for ``engine``, if the configuration names one."""
        return self._by_name.get(engine.fallback) if engine.fallback else None

    def choose(self, model: str, modality: Modality, inputs: frozenset[Modality]) -> tuple[Engine, str]:
        """The engine and the name of the model for a request.

        Args:
            model: As the request names it; "" = any that can.
            modality: What is to be made.
            inputs: Kinds of the files that come with the prompt.

        Raises:
            InvalidRequest: no such model, or none that can do it; names the field and what there is.
        """
        if model:
            engine = self.of(model)
            _refuse_what_it_cannot(engine, model, modality, inputs)
            return engine, model
        able = [e for e in self._engines if modality in e.can.outputs]
        if not able:
            known = sorted({m for e in self._engines for m in e.can.outputs})
            raise InvalidRequest(f"no engine makes {modality}", field="modality", fix=", ".join(known))
        for engine in able:
            if inputs <= engine.can.inputs:
                return engine, next(iter(engine.models))
        _refuse_what_it_cannot(able[0], "", modality, inputs)
        raise AssertionError("an engine that can do all of it would have been chosen")


def _refuse_what_it_cannot(engine: Engine, model: str, modality: Modality, inputs: frozenset[Modality]) -> None:
    who = f"model {model!r}" if model else f"engine {engine.name}"
    if modality not in engine.can.outputs:
        fix = ", ".join(sorted(engine.can.outputs))
        raise InvalidRequest(f"{who} makes no {modality}", field="modality", fix=fix)
    for kind in sorted(inputs - engine.can.inputs):
        readable = ", ".join(sorted(engine.can.inputs)) or "nothing"
        raise InvalidRequest(f"{who} reads no {kind}", field="inputs", fix=f"it reads: {readable}")
