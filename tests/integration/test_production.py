"""Production as an operator runs it: ``gensafe serve``, a claim key in SoftHSM2, an outside authority for the time.

Everything over the wire and by the command line; the parts in one process are ``unit/pipeline/test_signing.py``.
"""

import hashlib
import importlib.util
import json
import os
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gensafe.cli import main
from gensafe.client import Client, ClientOptions
from gensafe.core import errors
from gensafe.v1 import audit_pb2

ASSETS = Path(__file__).parents[1] / "assets"


def _asset(name):
    spec = importlib.util.spec_from_file_location(name, ASSETS / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


soft_token, assets = _asset("soft_token"), _asset("production")
# an operator who lets the language gate judge words in pictures too: of the built-in classifiers, it is the one that
# covers the category "unc"
POLICY = (
    'base = "balanced"\nid = "operator"\n[options.image_text]\nclassifiers = "text_rules,text_language,text_encoder"\n'
)
PROMPTS = {
    "text": "a story about a red circle",
    "image": "a red circle left of a blue square",
    "audio": "say one two three",
    "video": "a green star moving left",
}


@pytest.fixture
def production(tmp_path, monkeypatch):
    """(the installation, its token, its configuration file); what the commands need is in the environment."""
    made = assets.Production(tmp_path)
    token = soft_token.SoftToken(tmp_path / "hsm", made.leaf.key_pem())
    made.ring.import_claim(None, made.chain, made.root.certificate_pem())
    (tmp_path / "policy.toml").write_text(POLICY)
    for name, value in {**token.environment, "GENSAFE_KEY_PASSPHRASE": assets.PASSPHRASE}.items():
        monkeypatch.setenv(name, value)
    with made.authority() as (url, _):
        lines = ['environment = "production"', f'data_dir = "{made.data}"', 'provider = "Operator"']
        lines += ["[generation]", 'backend = "symphony"', "[safety]", f'policy = "{tmp_path / "policy.toml"}"']
        lines += ["[signing]", 'provider = "pkcs11"', f'time_stamp = ["{url}"]', "[signing.options]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in token.options.items()]
        (tmp_path / "keys.txt").write_text(f"sha256:{hashlib.sha256(b'operator-key').hexdigest()} operator\n")
        lines += ["[server]", f'api_keys = "{tmp_path / "keys.txt"}"']  # in production nobody is anonymous
        config = tmp_path / "gensafe.toml"
        config.write_text("\n".join(lines) + "\n")
        yield made, token, str(config)


def until(address, wanted):
    """Follow the server's health until it says ``wanted``."""
    with grpc.insecure_channel(address) as channel:
        for answer in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=60):
            if answer.status == wanted:
                return


def events(client):
    found = client.unary(client.audit.Query, audit_pb2.QueryRequest(page_size=1000)).entries
    return [json.loads(each.json)["entry"]["event"] for each in found]


@pytest.mark.skipif(not os.path.exists(soft_token.MODULE), reason="SoftHSM2 is not installed")
def test_everything_is_proved_and_without_its_token_a_server_releases_nothing_and_says_why(
    production, start_server, capsys
):
    made, token, config = production
    assert main(["doctor", "--config", config]) == 0, capsys.readouterr().out
    server = start_server("--config", config, data_dir=made.data)
    files = []
    with Client(ClientOptions(server.address, api_key="operator-key")) as client:
        for modality, prompt in PROMPTS.items():
            output = client.generate(prompt, modality)
            files.append(made.folder / f"{modality}.bin")
            files[-1].write_bytes(output.data)
        demands = ("--require", "marked,logged,time-stamped")
        capsys.readouterr()
        code = main(["verify", "--config", config, "--json", *demands, *map(str, files[1:])])
        said = json.loads(capsys.readouterr().out)
        assert code == 0, said
        assert main(["verify", "--config", config, "--require", "logged,time-stamped", str(files[0])]) == 0
        for report in said:
            checks = {check["name"]: check for check in report["checks"]}
            assert "operator signer" in json.dumps(report) and "development key" not in json.dumps(report)
            assert "outside time-stamp authority" in checks["time-stamp"]["summary"]

        token.remove()
        before = events(client)
        with pytest.raises(errors.SigningFailed, match="token 'gensafe'"):
            client.generate(PROMPTS["image"], "image")
        after = events(client)[len(before) :]
        assert "generation.failed" in after and "generation.released" not in after
        until(server.address, health_pb2.HealthCheckResponse.NOT_SERVING)
        assert main(["doctor", "--config", config]) == 1
        assert "token 'gensafe'" in capsys.readouterr().out

        token.bring_back()
        again = client.generate(PROMPTS["image"], "image")
        (made.folder / "again.png").write_bytes(again.data)
        assert main(["verify", "--config", config, *demands, str(made.folder / "again.png")]) == 0
        until(server.address, health_pb2.HealthCheckResponse.SERVING)
