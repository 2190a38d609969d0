"""What lies in deploy/ fits together, and with the product."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from gensafe.core.config import ServerConfig, load_config

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
LABELS = {"app.kubernetes.io/name": "gensafe"}


def documents():
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(p.name for p in KUBERNETES.glob("*.yaml") if p.name != "kustomization.yaml")
    return {found["kind"]: found for name in listed for found in yaml.safe_load_all((KUBERNETES / name).read_text())}


def grace_s(text):
    return int(re.fullmatch(r"(\d+)s?", str(text))[1])


@pytest.mark.parametrize("path", [DEPLOY / "container/gensafe.toml", KUBERNETES / "gensafe.toml"], ids=str)
def test_the_configurations_are_ours_and_say_where_callers_come_in(path):
    config = load_config(path)
    assert (config.server.listen, config.server.http) == ("0.0.0.0:50051", "0.0.0.0:8080")
    assert config.server.knows_callers and config.data_dir == "/data"


def test_kubernetes_fits_together():
    kinds = documents()
    pod = kinds["StatefulSet"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert pod["metadata"]["labels"] == kinds["Service"]["spec"]["selector"] == LABELS
    assert kinds["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == LABELS
    assert kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == LABELS
    assert kinds["StatefulSet"]["spec"]["replicas"] == 1  # one writer
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert ports == {"grpc": 50051, "https": 8080}
    assert {one["targetPort"] for one in kinds["Service"]["spec"]["ports"]} == set(ports)
    allowed = {one["port"] for rule in kinds["NetworkPolicy"]["spec"]["ingress"] for one in rule["ports"]}
    assert allowed == set(ports)
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] in ports and container[probe]["httpGet"]["scheme"] == "HTTPS"
    claimed = {one["metadata"]["name"] for one in kinds["StatefulSet"]["spec"]["volumeClaimTemplates"]}
    volumes = {one["name"] for one in pod["spec"]["volumes"]} | claimed
    assert {one["name"] for one in container["volumeMounts"]} == volumes
    mounts = [one["mountPath"] for one in container["volumeMounts"]]
    server = tomllib.loads((KUBERNETES / "gensafe.toml").read_text())["server"]
    for key in ("tls_certificate", "tls_key"):
        assert str(Path(server[key]).parent) in mounts
    assert grace_s(pod["spec"]["terminationGracePeriodSeconds"]) > ServerConfig().drain_s + 2


def test_nothing_runs_as_root_or_writes_to_its_root():
    pod = documents()["StatefulSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    security = container["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"]
    assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    service = yaml.safe_load((DEPLOY / "container/compose.yml").read_text())["services"]["gensafe"]
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert grace_s(service["stop_grace_period"]) > ServerConfig().drain_s + 2
    lines = (DEPLOY / "container/Containerfile").read_text().splitlines()
    last = max(number for number, line in enumerate(lines) if line.startswith("FROM "))
    assert f"USER {pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" in lines[last:]
    for line in lines[:last]:
        for source in re.findall(r"^COPY (?!--from)(\S+) ", line):
            assert (ROOT / source).exists()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_unit_is_right_and_tight(tmp_path):
    text = (DEPLOY / "systemd/gensafe.service").read_text()
    unit = tmp_path / "gensafe.service"
    unit.write_text(text.replace("/opt/gensafe/bin/gensafe", "/bin/true"))
    checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (checked.returncode, [line for line in checked.stderr.splitlines() if "gensafe" in line]) == (0, [])
    tight = ["systemd-analyze", "security", "--offline=true", "--threshold=15", unit]  # exposure 1.5 of 10
    assert subprocess.run(tight, capture_output=True, check=False).returncode == 0
    assert grace_s(re.search(r"TimeoutStopSec=(\d+)", text)[1]) > ServerConfig().drain_s + 2
