"""A third party finds the marks of a disclosed epoch; forgers, who have the key too by then, gain nothing."""

import hashlib
import importlib.util
import io
import json
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gensafe.cli import main
from gensafe.core import ids
from gensafe.core.config import Config, GenerationConfig
from gensafe.core.types import GenerationRequest, Modality
from gensafe.installation import Installation
from gensafe.keys import Role
from gensafe.pipeline import CallControl, open_chain, run
from gensafe_watermark import image

ROOT = Path(__file__).parents[2]
CHECKER = ROOT / "gensafe" / "audit" / "standalone.py"
SCRIPT = ROOT / "examples" / "disclosed_marks" / "disclosed_marks.py"
_spec = importlib.util.spec_from_file_location("disclosed_marks", SCRIPT)
disclosed_marks = importlib.util.module_from_spec(_spec)
sys.modules["disclosed_marks"] = disclosed_marks
_spec.loader.exec_module(disclosed_marks)
DAYS_MS = 181 * 86_400_000  # more than [watermark] disclose_days


def picture(chain):
    request = GenerationRequest(str(uuid.uuid4()), "a red circle", Modality.IMAGE)
    return list(run(chain, request, CallControl()))[-1].recorded.signed.data


def retire_long_ago(home):
    """What waiting does."""
    path = home.keys_dir / "keyring.json"
    index = json.loads(path.read_text())
    for key in index["keys"]:
        key["changed_ms"] -= DAYS_MS if key["role"] == "watermark" and key["state"] == "retired" else 0
    path.write_text(json.dumps(index))


def export(home, folder):
    assert main(["audit", "export", "-o", str(folder), "--data-dir", str(home.data_dir)]) == 0
    return folder


class Third:
    """Somebody who has the bundle, the log's key and files, and nothing of the service."""

    def __init__(self, folder, home):
        self.folder, self.home = folder, home
        self.bundle = export(home, folder / "bundle")
        with home.read_log() as log:
            (folder / "log.key").write_text(home.read_keys().checkpoint_public_key().public_bytes_raw().hex())
            self.entries = [each.entry for each in log.entries()]

    def command(self, data, bundle=None, original=None):
        (self.folder / "file").write_bytes(data)
        arguments = [str(bundle or self.bundle), str(self.folder / "file"), "--checker", str(CHECKER)]
        arguments += ["--log-key", str(self.folder / "log.key")]
        if original is not None:
            (self.folder / "original").write_bytes(original)
            arguments += ["--original", str(self.folder / "original")]
        return arguments

    def asks(self, data, **options):
        return disclosed_marks.main(self.command(data, **options))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    data = tmp_path_factory.mktemp("disclosed") / "data"
    return Installation(Config(data_dir=str(data), generation=GenerationConfig(backend="simulator")))


@pytest.fixture(scope="module")
def released(home):
    """A picture of epoch 0, whose key is disclosed; refused before its time, and as long as it is in use."""
    at = ["--data-dir", str(home.data_dir)]
    with open_chain(home.config) as chain:
        data = picture(chain)
    assert main(["keys", "disclose", "0", "--yes", *at]) == 1  # in use
    assert main(["keys", "rotate", "watermark", "--yes", *at]) == 0
    assert main(["keys", "disclose", "0", "--yes", *at]) == 1  # not yet
    retire_long_ago(home)
    assert main(["keys", "disclose", "0", *at]) == 64  # nobody is there to be asked
    with home.read_log() as log:
        assert "key.disclosed" not in [each.entry["event"] for each in log.entries()]
    assert main(["keys", "disclose", "0", "--yes", *at]) == 0
    return data


@pytest.fixture(scope="module")
def third(tmp_path_factory, home, released):
    return Third(tmp_path_factory.mktemp("third"), home)


@pytest.fixture(scope="module")
def forger(third):
    """Marks any picture with any payload: the key is public."""
    key = disclosed_marks.read_epochs(dict(enumerate(third.entries)))[0].key("image")
    steps = np.random.default_rng(3).normal(0, 9, (256, 256, 3)).cumsum(0).cumsum(1)
    own = (steps - steps.min()) / np.ptp(steps) * 255

    def forge(record):
        marked = image.embed(own.astype(np.uint8), ids.pack_payload(record, 0), key)
        return as_file(Image.fromarray(marked), "PNG")

    return forge


def as_file(picture, kind, **options):
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def record_of(third):
    return next(ids.parse_record_id(e["record_id"]) for e in third.entries if e["event"] == "generation.released")


def test_the_released_file_and_a_copy_of_it_count(third, released):
    copy = as_file(Image.open(io.BytesIO(released)).convert("RGB"), "JPEG", quality=85)
    assert third.asks(released) == 0
    assert third.asks(copy) == 4  # by then anybody could have written this mark
    assert third.asks(copy, original=released) == 0
    assert third.asks(copy, original=copy) == 3  # not what the log names


def test_the_commitment_is_logged_before_the_first_mark_and_again_for_the_next_epoch(home, third):
    events = [e["event"] for e in third.entries]
    assert events.index("key.committed") < events.index("generation.opened")
    with open_chain(home.config) as chain:
        epochs = [e.entry["epoch"] for e in chain.log.entries() if e.entry["event"] == "key.committed"]
        assert epochs == [0, 1]
        home.open_keys().rotate(Role.WATERMARK)  # beside it
        chain.refresh_keys()
        picture(chain)
        said = [(e.entry["event"], e.entry.get("epoch")) for e in chain.log.entries()]
    events = [event for event, _ in said]
    assert said.index(("key.committed", 2)) < len(events) - 1 - events[::-1].index("generation.released")


def test_who_marks_after_the_disclosure_gains_nothing(third, forger, released):
    assert third.asks(forger(ids.new_record_id())) == 1  # a record that never was
    stolen = forger(record_of(third))
    assert third.asks(stolen) == 4
    assert third.asks(stolen, original=released) == 1  # another content


def test_a_record_logged_after_the_disclosure_does_not_count(third, home, forger, tmp_path):
    """The operator itself, or who has its log, releases under the old key."""
    record = ids.new_record_id()
    data = forger(record)
    opened, entry = ({**e} for e in third.entries if e["event"] in ("generation.opened", "generation.released"))
    about = {"record_id": ids.record_id_text(record), "request_id": str(uuid.uuid4())}
    with home.open_log(home.read_keys()) as log:
        about["opened_index"] = log.append({**opened, **about}).index
        mark = {**entry["watermark"], "payload": ids.pack_payload(record, 0).hex()}
        log.append(
            {
                **entry,
                **about,
                "watermark": mark,
                "output": {**entry["output"], "digest": "sha256:" + hashlib.sha256(data).hexdigest()},
            }
        )
    assert third.asks(data, bundle=export(home, tmp_path / "later")) == 1


def test_a_back_dated_entry_breaks_the_bundle(third, forger, tmp_path):
    record = record_of(third)
    for path in third.bundle.iterdir():
        data = path.read_bytes()
        old, new = (ids.record_id_text(each).encode() for each in (record, record ^ 1))
        (tmp_path / path.name).write_bytes(data.replace(old, new))
    assert third.asks(forger(record ^ 1), bundle=tmp_path) == 3


def test_another_key_than_the_one_committed_to_is_refused(third):
    entries = dict(enumerate(third.entries))
    index = next(i for i, e in entries.items() if e["event"] == "key.disclosed")
    again = disclosed_marks.read_epochs(entries | {index + 5: entries[index]})
    assert [each.disclosed for each in again] == [index]  # publishing it twice makes no room for more
    entries[index] = entries[index] | {"key": "ab" * 32}
    with pytest.raises(disclosed_marks.Unusable, match="not the one that was committed to"):
        disclosed_marks.read_epochs(entries)


def test_it_uses_nothing_of_the_product_but_the_marks(third, released):
    program = "import sys, disclosed_marks as d; code = d.main(sys.argv[1:]); print(*sys.modules); sys.exit(code)"
    done = subprocess.run(
        [sys.executable, "-c", program, *third.command(released)], cwd=SCRIPT.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    ours = {name for name in done.stdout.splitlines()[-1].split() if name.split(".")[0] == "gensafe"}
    assert {name for name in ours if name != "gensafe" and not name.startswith("gensafe.core")} == set()
