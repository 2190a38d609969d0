"""Shared fixtures: real server processes, throw-away data directories, the shared data folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip, with the reason, what this machine cannot run, and what nobody asked for."""
    for item in items:
        if item.get_closest_marker("slow") and "slow" not in (config.option.markexpr or ""):
            item.add_marker(pytest.mark.skip(reason="slow: run with -m slow"))
        if item.get_closest_marker("shared") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason="the shared data folder is not beside this checkout"))
        for extra in ("torch", "mlx"):
            if item.get_closest_marker(extra) and not _installed(extra):
                item.add_marker(pytest.mark.skip(reason=f"the {extra} extra is not installed"))


def _installed(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of shared corpora; tests that use it are marked ``shared``."""
    return SHARED


@dataclass
class ServerProcess:
    """A real ``gensafe serve`` process."""

    data_dir: Path
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    address: str = ""
    http: str = ""

    def start(self) -> ServerProcess:
        if self.process is not None:  # started again after it was killed
            self.process.stdout.close()
        command = [sys.executable, "-m", "gensafe.cli", "serve", "--data-dir", str(self.data_dir)]
        if "--listen" not in self.arguments:
            command += ["--listen", "127.0.0.1:0"]
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with (self.data_dir / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                [*command, *self.arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**self._engine(), **os.environ, **self.environment},
            )
        line = self.process.stdout.readline()
        assert line.startswith("ready "), (self.data_dir / "server.log").read_text()
        parts = line.split()
        self.address = parts[1]
        self.http = parts[2] if len(parts) > 2 else ""
        return self

    def _engine(self) -> dict[str, str]:
        """One engine that starts at once where no configuration is named; those in the box have tests of their own."""
        return {} if "--config" in self.arguments else {"GENSAFE_GENERATION_BACKEND": "symphony"}

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(60)
        self.process.stdout.close()
        return code

    @property
    def log(self) -> str:
        return (self.data_dir / "server.log").read_text()


@pytest.fixture(scope="session")
def server_process() -> type[ServerProcess]:
    """The class, for fixtures in other folders."""
    return ServerProcess


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator:
    """Start servers that are stopped at the end of the test: start_server(*arguments, data_dir=..., **environment)."""
    running: list[ServerProcess] = []

    def start(*arguments: str, data_dir: Path | None = None, **environment: str) -> ServerProcess:
        server = ServerProcess(data_dir or tmp_path / "data", arguments, environment)
        running.append(server)
        return server.start()

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests that only talk to it."""
    running = ServerProcess(tmp_path_factory.mktemp("server") / "data", ("--http", "127.0.0.1:0")).start()
    yield running
    assert running.stop() == 0, running.log
