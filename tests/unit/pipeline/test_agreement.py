"""A backup that brings back the log without the registry, or the registry without the log, is noticed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gensafe.cli import main
from gensafe.core import ids
from gensafe.core.config import Config, GenerationConfig
from gensafe.core.errors import LogCorrupt
from gensafe.core.types import GenerationRequest, Modality
from gensafe.pipeline import CallControl, Chain, Released, open_chain, run
from gensafe.registry import IntentState


def opened(data: Path) -> Chain:
    return open_chain(Config(data_dir=str(data), generation=GenerationConfig(backend="simulator")))


def asked() -> GenerationRequest:
    return GenerationRequest(ids.new_request_id(), "hello", Modality.TEXT, tenant="t", max_tokens=20, seed=1)


def released(chain: Chain, request: GenerationRequest) -> Released:
    *_, last = run(chain, request, CallControl())
    assert isinstance(last, Released)
    return last


@pytest.fixture
def backed_up(tmp_path: Path):
    """A data folder, a backup of it, and what was released after the backup."""
    data, backup, request = tmp_path / "data", tmp_path / "backup", asked()
    with opened(data) as chain:
        released(chain, asked())
    shutil.copytree(data, backup)
    with opened(data) as chain:
        later = released(chain, request)
        size = chain.log.size
    return data, backup, request, later, size


def put_back(part: str, backup: Path, data: Path) -> None:
    shutil.rmtree(data / part)
    shutil.copytree(backup / part, data / part)


def test_an_older_log_beside_a_newer_registry_is_refused(backed_up, capsys):
    """Before: the server started without a word and signed a fork; fsck said "sound", doctor exit 0."""
    data, backup, _, _, size = backed_up
    put_back("log", backup, data)
    with pytest.raises(LogCorrupt, match=rf"log entry {size - 1}, the log has \d+ entries"):
        opened(data)
    assert main(["audit", "fsck", "--data-dir", str(data)]) == 1
    assert f"points to log entry {size - 1}" in capsys.readouterr().out
    main(["doctor", "--data-dir", str(data)])
    assert f"points to log entry {size - 1}" in capsys.readouterr().out


def test_another_log_of_the_same_length_is_refused(backed_up, capsys):
    data, backup, _, _, size = backed_up
    put_back("log", backup, data)
    shutil.rmtree(data / "registry")
    with opened(data) as chain:  # this log goes its own way
        while chain.log.size <= size + 4:
            released(chain, asked())
    other = data.parent / "other"
    shutil.copytree(data / "log", other / "log")
    shutil.rmtree(data)
    shutil.copytree(backup, data)
    with opened(data) as chain:
        released(chain, asked())
    put_back("log", other, data)
    with pytest.raises(LogCorrupt, match="names another leaf"):
        opened(data)
    assert main(["audit", "fsck", "--data-dir", str(data)]) == 1


def test_an_older_registry_is_restored_from_the_log(backed_up):
    """Before: the output was released and logged, and nothing found it any more; its id ran a second time."""
    data, backup, request, later, _ = backed_up
    for part in ("registry.db", "registry.db-wal", "registry.db-shm"):  # the blobs stay
        (data / "registry" / part).unlink(missing_ok=True)
        if (backup / "registry" / part).exists():
            shutil.copy(backup / "registry" / part, data / "registry" / part)
    with opened(data) as chain:
        intent = chain.registry.intent(request.key)
        assert intent is not None and intent.state is IntentState.RELEASED
        record = chain.registry.by_record_id(later.recorded.signed.marked.judged.admission.record_id)
        assert record is not None and record.digest == later.recorded.signed.digest
        assert record.leaf_hash == later.recorded.leaf_hash
    assert main(["audit", "fsck", "--data-dir", str(data)]) == 0


def test_a_lost_registry_is_restored_as_far_as_the_log_goes(backed_up):
    data, _, request, later, _ = backed_up
    shutil.rmtree(data / "registry")
    with opened(data) as chain:
        assert len(chain.registry.records()) == 2
        record = chain.registry.by_digest(later.recorded.signed.digest)
        assert record is not None and record.request_id == request.request_id
        assert chain.registry.open_intents() == []


def test_the_data_folder_is_for_its_owner_only(backed_up, capsys):
    """Before: log and registry 0755 and 0644; another user's lock on writer.lock stopped the service."""
    data, *_ = backed_up
    wrong = [path for path in (data, *data.rglob("*")) if path.stat().st_mode & 0o077]
    assert wrong == []
    (data / "log" / "log.db").chmod(0o644)
    data.chmod(0o755)
    main(["doctor", "--data-dir", str(data)])
    assert f"chmod -R go= {data}" in capsys.readouterr().out
