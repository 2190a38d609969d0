"""``gensafe config``: the file it writes is one that it reads; schema and reader agree; gaps are named."""

import json
import re
import tomllib

import jsonschema_rs
import pytest

from gensafe.cli import main
from gensafe.core.config import Config, load_config
from gensafe.core.config_about import schema
from gensafe.core.errors import ConfigError

GOOD = "[server]\nmax_queued = 5\n[[usage.quotas]]\ntenant = 'a'\nrequests = 3\n[[engines]]\nbackend = 'symphony'\n"


def test_the_file_that_init_writes_is_the_default_and_every_key_in_it_is_one(tmp_path, capsys):
    path = tmp_path / "gensafe.toml"
    assert main(["config", "init", "-o", str(path)]) == 0
    assert load_config(path) == Config()
    lines = path.read_text().split("\n")
    body = "\n".join(line.removeprefix("# ") for line in lines if re.match(r"# [a-z_]+ = |# \[\[|\[", line))
    document = tomllib.loads(body)
    assert set(document) >= {"server", "usage", "engines", "watermark", "environment"}
    assert document["server"]["oidc"]["leeway_s"] == 30 and document["usage"]["quotas"][0]["period"] == "day"
    assert jsonschema_rs.is_valid(schema(Config), document)
    assert main(["config", "init", "-o", str(path)]) == 64  # it is never overwritten
    assert main(["config", "check", "--config", str(path)]) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    "text",
    ["[server]\nlisden = 'x'", "[server]\nmax_queued = -1", "[server]\nhttp_classify = 3", "nothing = 1",
     "[[usage.quotas]]\nrequest = 1", "[server.oidc]\nroles = 3", "[server]\nlisten = 7"],
)  # fmt: skip
def test_the_schema_and_the_reader_refuse_the_same(tmp_path, text):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        load_config(path)
    assert not jsonschema_rs.is_valid(schema(Config), tomllib.loads(text))
    assert jsonschema_rs.is_valid(schema(Config), tomllib.loads(GOOD))


def test_check_names_what_production_refuses_and_files_that_are_not_there(tmp_path, capsys):
    path = tmp_path / "c.toml"
    path.write_text(GOOD)
    assert main(["config", "check", "--config", str(path)]) == 0
    assert main(["config", "check", "--production", "--config", str(path)]) == 1
    said = capsys.readouterr().err
    assert "anonymous" in said and "signing.time_stamp" in said
    path.write_text("[server]\napi_keys = 'absent'\n")
    assert main(["config", "check", "--config", str(path)]) == 64
    assert "server.api_keys" in capsys.readouterr().err


def test_a_production_server_without_identities_does_not_start(tmp_path, capsys):
    path = tmp_path / "c.toml"
    path.write_text("environment = 'production'\n[signing]\ntime_stamp = ['none']\n")
    assert main(["serve", "--config", str(path), "--data-dir", str(tmp_path / "d"), "--listen", "127.0.0.1:0"]) == 64
    assert "anonymous" in capsys.readouterr().err


def test_print_shows_what_is_in_force_without_secrets(tmp_path, capsys, monkeypatch):
    path = tmp_path / "c.toml"
    path.write_text("[generation]\nbackend = 'openai_http'\n[generation.options]\napi_key = 'hunter2'\n")
    monkeypatch.setenv("GENSAFE_SERVER_MAX_QUEUED", "7")
    assert main(["config", "print", "--config", str(path)]) == 0
    said = capsys.readouterr().out
    assert json.loads(said)["server"]["max_queued"] == 7 and "hunter2" not in said
    assert main(["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["additionalProperties"] is False
