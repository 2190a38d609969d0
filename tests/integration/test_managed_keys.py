"""The life of an API key beside a running server, over every front: made, used, replaced, expired, revoked, and logged.

New mechanism. Keys were lines of a file that the operator wrote by hand: no expiry, no history, nothing in the log.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from gensafe.audit import AuditLog
from gensafe.cli import main
from gensafe.client import Client, ClientOptions
from gensafe.core import errors
from tests.integration.callers import all_of, eventually, fronts, grpc_models

REASON, ACTOR = "the shop's first pilot", "Ada Quux"


@dataclass
class Site:
    """The server and its command line."""

    address: str
    http: str
    data: Path
    config: Path
    run: Callable[..., tuple[int, dict]]

    def keys(self, *words: str) -> dict:
        status, said = self.run("keys", "api", *words)
        assert status == 0, said
        return said

    def create(self, *words: str) -> dict:
        return self.keys("create", "--tenant", "acme", "--reason", REASON, "--actor", ACTOR, *words)


@pytest.fixture(scope="module")
def running(tmp_path_factory, write_config, server_process):
    folder = tmp_path_factory.mktemp("managed")
    settings = {"managed_keys": True, "http": "127.0.0.1:0", "http_per_minute": 0}
    config = write_config(folder, server=settings)
    server = server_process(folder / "data", ("--config", str(config)))
    server.start()
    yield server, config
    assert server.stop() == 0, server.log


@pytest.fixture
def site(running, capsys):
    server, config = running

    def run(*words: str) -> tuple[int, dict]:
        capsys.readouterr()
        status = main([*words, "--json", "--config", str(config), "--data-dir", str(server.data_dir)])
        said = capsys.readouterr()
        return status, json.loads(said.out) if said.out else {"error": said.err}

    return Site(server.address, server.http, server.data_dir, config, run)


def logged(site: Site, event: str) -> list[dict]:
    with AuditLog.open_readonly(site.data / "log") as log:
        return [dict(e.entry) for e in log.entries() if e.entry["event"] == event]


def test_a_key_is_made_used_replaced_and_revoked_while_the_server_runs(site: Site):
    made = site.create("--name", "shop", "--expires", "90d")
    old = made["key"]
    assert old.startswith(f"gsk_{made['key_id']}_") and made["state"] == "active" and made["last_used"] == "never"
    eventually(lambda: grpc_models(site.address, old) == "OK")
    assert all_of(fronts(site.address, site.http, old), "OK"), fronts(site.address, site.http, old)
    assert all_of(fronts(site.address, site.http, old + "x"), "UNAUTHENTICATED")

    next_ = site.keys("rotate", made["key_id"], "--reason", "yearly", "--actor", ACTOR, "--overlap", "1h")
    assert (next_["replaces"], next_["roles"], next_["name"]) == (made["key_id"], made["roles"], "shop")
    eventually(lambda: grpc_models(site.address, next_["key"]) == "OK")
    assert grpc_models(site.address, old) == "OK"  # the overlap

    revoked = site.keys("revoke", made["key_id"], "--reason", "seen in a repository", "--actor", ACTOR)
    assert revoked["state"] == "revoked"
    eventually(lambda: "was revoked" in grpc_models(site.address, old))
    assert all_of(fronts(site.address, site.http, old), "UNAUTHENTICATED"), fronts(site.address, site.http, old)
    assert all_of(fronts(site.address, site.http, next_["key"]), "OK")

    history = site.keys("show", made["key_id"])["history"]
    assert [(act["change"], act["actor"], act["reason"]) for act in history] == [
        ("created", ACTOR, REASON),
        ("revoked", ACTOR, "seen in a repository"),
    ]
    entries = {entry["change"]: entry for entry in logged(site, "api_key.changed") if entry["tenant"] == "acme"}
    assert set(entries) >= {"created", "rotated", "revoked"}
    assert len({entry["actor"] for entry in entries.values()}) == 1  # one pseudonym for one person
    status, said = site.run("keys", "api", "revoke", made["key_id"], "--reason", "again", "--actor", ACTOR)
    assert status == 64 and "was revoked" in said["error"]
    status, said = site.run("keys", "api", "rotate", made["key_id"], "--reason", "again", "--actor", ACTOR)
    assert status == 64 and "revoked" in said["error"]


def test_without_an_overlap_the_replaced_key_ends_at_once(site: Site):
    made = site.create()
    eventually(lambda: grpc_models(site.address, made["key"]) == "OK")
    site.keys("rotate", made["key_id"], "--reason", "it leaked", "--actor", ACTOR, "--overlap", "0m")
    eventually(lambda: "has expired" in grpc_models(site.address, made["key"]))
    assert made["key_id"] not in [key["key_id"] for key in site.keys("list")]
    assert made["key_id"] in [key["key_id"] for key in site.keys("list", "--all")]


def test_a_key_may_use_its_roles_and_its_models_only(site: Site):
    narrow = site.create("--role", "generate", "--model", "another-model")["key"]
    fitting = site.create("--role", "generate", "--model", "simulator")["key"]
    eventually(lambda: grpc_models(site.address, fitting) == grpc_models(site.address, narrow) == "OK")
    seen = fronts(site.address, site.http, narrow)
    assert seen == {
        "grpc": "OK", "openai": "OK", "envoy": "PERMISSION_DENIED", "guard": "PERMISSION_DENIED",
        "binding": "PERMISSION_DENIED", "verify": "OK",  # a page of everybody; the key opens nothing more
    }  # fmt: skip
    with Client(ClientOptions(site.address, api_key=narrow)) as client:
        assert client.models() == []
        for model in ("", "simulator"):
            with pytest.raises(errors.PermissionDenied, match="may not use the model 'simulator'"):
                client.generate("a garden", "text", model=model)
            assert client.wait(client.start("a garden", "text", model=model)).error_reason == "PERMISSION_DENIED"
    with Client(ClientOptions(site.address, api_key=fitting)) as client:
        assert client.generate("a garden", "text", max_tokens=9).record_id
    ask = {"model": "simulator", "messages": [{"role": "user", "content": "a garden"}], "max_tokens": 9}
    for key, code in ((narrow, 403), (fitting, 200)):
        headers = {"authorization": f"Bearer {key}"}
        assert httpx.post(f"{site.http}/v1/chat/completions", json=ask, headers=headers, timeout=60).status_code == code
    for key, listed in ((narrow, []), (fitting, ["simulator"])):
        found = httpx.get(f"{site.http}/v1/models", headers={"authorization": f"Bearer {key}"}).json()["data"]
        assert [model["id"] for model in found] == listed


def test_the_secret_is_shown_once_and_the_day_of_use_is_kept(site: Site):
    made = site.create()
    eventually(lambda: grpc_models(site.address, made["key"]) == "OK")

    def known() -> dict:
        return next(key for key in site.keys("list", "--tenant", "acme") if key["key_id"] == made["key_id"])

    eventually(lambda: known()["last_used"] != "never")
    assert len(known()["last_used"]) == len("2026-01-01")
    secret = made["key"].encode()
    files = [path for path in site.data.rglob("*") if path.is_file()]
    assert not [path for path in files if secret in path.read_bytes()]
    assert made["key_id"].encode() in b"".join(path.read_bytes() for path in files)
    entries = json.dumps(logged(site, "api_key.changed"))
    assert REASON not in entries and ACTOR not in entries and "digest" not in json.dumps(site.keys("list"))


def test_refused_calls_are_logged_and_do_not_fill_the_log(site: Site):
    key = site.create("--role", "verify")["key"]
    eventually(lambda: grpc_models(site.address, key).startswith("PERMISSION_DENIED"))
    for _ in range(40):
        grpc_models(site.address, "nobody-knows-this")
    method = "/gensafe.v1.GenerationService/ListModels"

    def refused() -> list[dict]:
        return [entry for entry in logged(site, "access.refused") if "tenant" not in entry]

    eventually(lambda: any(f"UNAUTHENTICATED {method}" in entry["refused"] for entry in refused()))
    eventually(lambda: any(entry.get("tenant") == "acme" for entry in logged(site, "access.refused")))
    assert len(refused()) <= 3  # at once, and then one a minute
    assert "nobody-knows-this" not in json.dumps(logged(site, "access.refused"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--expires", "soon"), "--expires"),
        (("--expires", "2020-01-01"), "not in the future"),
        (("--expires", "2027-02-30"), "no date"),
        (("--name", "a\nb"), "--name"),
        (("--reason", " "), "--reason"),
        (("--tenant", "ac\u202eme"), "U+202E"),
        (("--role", "root"), "invalid choice"),
    ],
)
def test_what_makes_no_key_is_said(site: Site, words: tuple[str, ...], said: str):
    before = len(site.keys("list", "--all"))
    status, answer = site.run("keys", "api", "create", "--tenant", "acme", "--reason", REASON, *words)
    assert status == 64 and said in answer["error"], answer
    assert len(site.keys("list", "--all")) == before


def test_a_key_is_made_where_no_server_runs_and_a_server_needs_one(tmp_path, write_config, server_process, capsys):
    """On loopback, too: with managed keys a caller without one is nobody."""
    config = write_config(tmp_path, server={"managed_keys": True})
    words = ["--json", "--config", str(config), "--data-dir", str(tmp_path / "data")]
    assert main(["keys", "api", "create", "--tenant", "acme", "--reason", "first", "--actor", "x", *words]) == 0
    key = json.loads(capsys.readouterr().out)["key"]
    server = server_process(tmp_path / "data", ("--config", str(config))).start()
    try:
        site = Site(server.address, "", server.data_dir, config, lambda *_: (0, {}))
        assert grpc_models(site.address, key) == "OK"
        with Client(server.address) as client, pytest.raises(errors.Unauthenticated):
            client.models()
        assert grpc_models(site.address, "wrong").startswith("UNAUTHENTICATED")
    finally:
        assert server.stop() == 0, server.log
    assert any("UNAUTHENTICATED" in str(entry["refused"]) for entry in logged(site, "access.refused"))  # at the end too
