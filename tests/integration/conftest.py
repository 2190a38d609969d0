"""Servers with the simulator backend, for tests of the wire and of faults."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def write_config() -> Callable[..., Path]:
    """Write a configuration: write_config(folder, server={...}, options={...})."""

    def write(
        folder: Path, *, server: dict | None = None, options: dict | None = None, backend: str = "simulator"
    ) -> Path:
        lines = ["[generation]", f'backend = "{backend}"', "[generation.options]"]
        lines += [f"{k} = {json.dumps(v)}" for k, v in (options or {}).items()]
        lines += ["[server]", *(f"{k} = {json.dumps(v)}" for k, v in (server or {}).items())]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "config.toml"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory, write_config, server_process) -> Iterator:
    """One server with the simulator for all tests that only talk to it."""
    folder = tmp_path_factory.mktemp("simulated")
    running = server_process(folder / "data", ("--config", str(write_config(folder))))
    running.start()
    yield running
    assert running.stop() == 0, running.log
