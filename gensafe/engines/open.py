"""Open the engines that a configuration names, or those that come in the box."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from gensafe.core import plugins
from gensafe.core.config import Config, EngineConfig
from gensafe.core.errors import ConfigError, PluginError
from gensafe.core.ports import Backend
from gensafe.engines.engine import Engine
from gensafe.engines.engines import Engines
from gensafe.engines.process import ProcessBackend

log = logging.getLogger("gensafe.engines")

IN_THE_BOX: Final = (
    EngineConfig(name="smollm2", backend="smollm2"),  # text
    EngineConfig(name="hibari", backend="hibari"),  # speech
    EngineConfig(name="symphony", backend="symphony"),  # pictures, films, sounds, and text about them
)
"""What serves where the configuration names no engine. The weights of the first come in a package of their own."""


def open_engines(config: Config, *, isolated: bool = True) -> Engines:
    """Load every configured engine.

    Args:
        config: The configuration.
        isolated: False = all in this process, whatever is configured: for a command that only reads what they are.

    Raises:
        ConfigError: two engines of one name or model, an unknown fallback or model, or an option that is not usable.
        PluginError, BackendError: an engine cannot be loaded.
    """
    if config.engines and config.generation.backend:
        raise ConfigError("stands beside [[engines]]", field="generation.backend", fix="name it as one of [[engines]]")
    if config.engines:
        return _checked([_open(one, f"engines[{n}]", isolated) for n, one in enumerate(config.engines)])
    if config.generation.backend:
        name, options = config.generation.backend, config.generation.options
        return _checked([_open(EngineConfig(name=name, backend=name, options=options), "generation", False)])
    return _checked(_installed(isolated))


def _installed(isolated: bool) -> list[Engine]:
    """Those in the box that can be loaded here; the others are named in the server's log with what they lack."""
    engines = []
    for one in IN_THE_BOX:
        try:
            engines.append(_open(one, one.name, isolated))
        except (ConfigError, PluginError) as error:
            log.warning("engine %s is not available: %s", one.name, error)
    return engines


def _open(one: EngineConfig, where: str, isolated: bool) -> Engine:
    try:
        backend: Backend
        if isolated and one.isolated:
            backend = ProcessBackend(one.backend, one.options)
        else:
            backend = plugins.load("gensafe.backends", one.backend, one.options)
    except ConfigError as error:
        field = f"{where}.options.{error.field}" if error.field else where
        raise ConfigError(error.message, field=field, fix=error.fix) from None
    offered = backend.models()
    for name in one.models:
        if name not in offered:
            known = ", ".join(sorted(offered))
            raise ConfigError(f"has no model {name!r}", field=f"{where}.models", fix=f"of: {known}")
    models = {name: digest for name, digest in offered.items() if not one.models or name in one.models}
    if not models:
        raise PluginError(f"engine {one.name or one.backend} serves no model")
    return Engine(
        one.name or one.backend,
        backend,
        models,
        backend.capabilities(),
        max_concurrent=one.max_concurrent,
        max_queued=one.max_queued,
        fallback=one.fallback,
    )


def _checked(engines: Sequence[Engine]) -> Engines:
    names: set[str] = set()
    models: dict[str, str] = {}
    for engine in engines:
        if engine.name in names:
            raise ConfigError(f"two engines are called {engine.name!r}", field="engines", fix="give each its own name")
        names.add(engine.name)
        for model in engine.models:
            if model in models:
                raise ConfigError(
                    f"{models[model]} and {engine.name} both serve the model {model!r}",
                    field="engines",
                    fix="offer it by one of them: models = [...]",
                )
            models[model] = engine.name
    for engine in engines:
        if engine.fallback and (engine.fallback not in names or engine.fallback == engine.name):
            raise ConfigError(f"no other engine {engine.fallback!r}", field=f"engines.{engine.name}.fallback")
    if not engines:
        raise ConfigError("no engine can be loaded", field="engines", fix="configure [[engines]]")
    return Engines(engines)
