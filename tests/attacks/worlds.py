"""The servers and files that the scripts expect: folders, ports and key names are those written in them."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SIMULATOR: Final = '[generation]\nbackend = "simulator"\n'
ROLES: Final = ("all", "generate", "verify", "classify", "audit")
INPUT: Final = "k/John Doe passport 1979-04-02.png"
PICTURE: Final = f"from PIL import Image; Image.effect_noise((64, 64), 90).convert('RGB').save({INPUT!r})"
HANG: Final = (
    "import socket; s=socket.socket(); s.setsockopt(socket.SOL_SOCKET,socket.SO_REUSEADDR,1); "
    "s.bind(('127.0.0.1',18099)); s.listen(500); kept=[]\nwhile True: kept.append(s.accept())"
)


def environment(work: Path) -> dict[str, str]:
    """Of the scripts and servers: this checkout first, no proxy."""
    kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    paths = [str(ROOT), str(ROOT / "backends"), str(ROOT / "watermark"), str(work)]
    return kept | {"PYTHONPATH": os.pathsep.join(paths)}


def prepare(work: Path) -> None:
    """What the scripts open beside their servers' folders."""
    (work / "venv").symlink_to(Path(sys.prefix))
    (work / "src").mkdir()
    (work / "src/gensafe").symlink_to(ROOT / "gensafe")
    for folder in ("dbl", "rv", "k", "m"):
        (work / folder).mkdir()
    (work / "probe.txt").write_text("x" * 100)
    keys = {f"{tenant}_{role}": f"{tenant}-{role}-{uuid.uuid4()}" for tenant in "AB" for role in ROLES}
    (work / "k/keys.json").write_text(json.dumps(keys))
    (work / "k/api.keys").write_text("".join(_key_line(name, key) for name, key in keys.items()))
    subprocess.run([sys.executable, "-c", PICTURE], cwd=work, check=True)


def _key_line(name: str, key: str) -> str:
    tenant, role = name.split("_")
    roles = "" if role == "all" else f" {role}"
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()} {'acme' if tenant == 'A' else 'beta'}{roles}\n"


def gensafe(work: Path, *words: str) -> str:
    """Run the command line; what it printed, errors too."""
    command = [sys.executable, "-m", "gensafe.cli", *words]
    done = subprocess.run(command, cwd=work, env=environment(work), capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@contextmanager
def server(work: Path, name: str, config: str) -> Iterator[None]:
    """A server in folder ``name``: its address in ``serve.out``, its process in ``serve.pid``."""
    folder = work / name
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(config)
    command = [
        sys.executable,
        "-m",
        "gensafe.cli",
        "serve",
        "--config",
        f"{name}/config.toml",
        "--data-dir",
        f"{name}/data",
    ]
    with (folder / "serve.out").open("w") as out, (folder / "serve.err").open("w") as errors:
        process = subprocess.Popen(command, stdout=out, stderr=errors, cwd=work, env=environment(work))
    (folder / "serve.pid").write_text(str(process.pid))
    while not (folder / "serve.out").read_text().endswith("\n"):
        if process.poll() is not None:
            raise SystemExit(f"the server {name} did not start: {(folder / 'serve.err').read_text()[-500:]}")
        time.sleep(0.05)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()


def _listening(extra: str = "") -> str:
    return f'[server]\nlisten = "127.0.0.1:0"\n{extra}'


@contextmanager
def _nothing(work: Path) -> Iterator[None]:
    yield


@contextmanager
def _tenants(work: Path) -> Iterator[None]:
    extra = 'http = "127.0.0.1:18080"\napi_keys = "k/api.keys"\nmax_concurrent = 4\n'
    with server(work, "k", SIMULATOR + _listening(extra)):
        (work / "data").symlink_to(work / "k/data")
        print(gensafe(work, "privacy", "hold", "secret-case", "--scope", "tenant:acme", "--data-dir", "k/data").strip())
        yield


@contextmanager
def _anonymous_page(work: Path) -> Iterator[None]:
    with server(work, "dd", SIMULATOR + _listening('http = "127.0.0.1:18090"\n')):
        yield


@contextmanager
def _quotas(work: Path) -> Iterator[None]:
    with server(work, "gt", SIMULATOR + _listening("requests_per_minute = 5\nverify_per_minute = 5\n")):
        yield


@contextmanager
def _plain(work: Path) -> Iterator[None]:
    with server(work, "r", SIMULATOR + _listening("drain_s = 10\n")):
        yield


@contextmanager
def _hanging_guard(work: Path) -> Iterator[None]:
    (work / "hg").mkdir()
    policy = files("gensafe.safety").joinpath("policies", "default.toml").read_text()
    options = 'endpoint = "http://127.0.0.1:18099/v1"\nmodel = "guard"\nfamily = "llama-guard"\ntimeout_s = "2"\n'
    policy = policy.replace('text = ["', 'text = ["text_guard", "', 1) + f"\n[options.text_guard]\n{options}"
    (work / "hg/policy.toml").write_text(policy)
    guard = subprocess.Popen([sys.executable, "-c", HANG])
    (work / "hg/hang.pid").write_text(str(guard.pid))
    try:
        with server(work, "hg", f'{SIMULATOR}[safety]\npolicy = "hg/policy.toml"\n{_listening()}'):
            yield
    finally:
        guard.kill()
        guard.wait()


@contextmanager
def _mutual_tls(work: Path) -> Iterator[None]:
    for file in work.glob("*.pem"):  # of m_certs
        file.rename(work / "m" / file.name)
    for file in work.glob("*.key"):
        file.rename(work / "m" / file.name)
    (work / "m/map").write_text("* * generate,verify,classify,audit\n")
    tls = 'tls_certificate = "m/srv.pem"\ntls_key = "m/srv.key"\ntls_client_ca = "m/ca.pem"\ntls_client_map = "m/map"\n'
    tls += 'api_keys = "k/api.keys"\n'
    with server(work, "m", SIMULATOR + _listening(tls)):
        yield


@contextmanager
def _exports(work: Path) -> Iterator[None]:
    with server(work, "e", SIMULATOR + _listening()):
        address = (work / "e/serve.out").read_text().split()[1]
        for number in range(6):
            gensafe(
                work,
                "generate",
                f"a calm garden {number}",
                "--modality",
                "text",
                "-o",
                f"e{number}.txt",
                "--server",
                address,
            )
    for form in ("csv", "ocsf"):
        gensafe(
            work,
            "audit",
            "export",
            "--format",
            form,
            "-o",
            f"bundle_{form}",
            "--tenant",
            "local",
            "--data-dir",
            "e/data",
        )
    (work / "logkey").write_text(gensafe(work, "audit", "checkpoint", "--data-dir", "e/data"))
    yield


WORLDS: Final[dict[str, Callable[[Path], AbstractContextManager[None]]]] = {
    "": _nothing,
    "k": _tenants,
    "dd": _anonymous_page,
    "gt": _quotas,
    "r": _plain,
    "hg": _hanging_guard,
    "m": _mutual_tls,
    "e": _exports,
}
