"""``gensafe watermark test-keys``: a text key that would accuse unmarked texts is named before it is used."""

import json

import numpy as np
import pytest

from gensafe.cli import main
from gensafe.core import plugins
from gensafe.core.config import load_config
from gensafe.core.types import Modality
from gensafe.installation import Installation
from gensafe.testing.simulator import WORDS


@pytest.fixture
def place(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(f'data_dir = "{tmp_path / "data"}"\n[generation]\nbackend = "simulator"\n')
    return config


def write(path, texts) -> str:
    path.write_text("\n\n".join(" ".join(WORDS[t] for t in text) for text in texts))
    return str(path)


def texts(seed, count=150, length=60, mark=None):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        sampler, tokens = mark() if mark else None, []
        for _ in range(length):
            p = rng.dirichlet(np.full(len(WORDS), 0.5))
            chosen = sampler.choose(tokens, p) if sampler else None
            tokens.append(int(rng.choice(len(WORDS), p=p)) if chosen is None else chosen)
        yield tokens


def run(capsys, *arguments):
    status = main(["watermark", "test-keys", *arguments])
    return status, capsys.readouterr()


def test_unmarked_texts_leave_most_key_ids_in_use(place, tmp_path, capsys):
    path = write(tmp_path / "texts.txt", texts(1))
    _, out = run(capsys, path, "--json", "--config", str(place))
    found = json.loads(out.out)
    assert found["texts"] == 150
    assert len(found["p_values"]) == 16
    assert len(found["usable"]) >= 13


def test_a_key_whose_p_values_lean_is_refused(place, tmp_path, capsys):
    key = Installation(load_config(place)).open_keys().watermark_key(Modality.TEXT)
    scheme = plugins.load("gensafe.watermarks", "text")
    path = write(tmp_path / "texts.txt", texts(2, mark=lambda: scheme.sampler(key)))
    status, out = run(capsys, path, "--config", str(place))
    assert status == 1
    assert "key id  0: p = 0  do not use" in out.out or "do not use" in out.out.splitlines()[0]
    usable = out.err.split('key_ids = "')[1].split('"')[0]
    assert not usable.startswith("0,")
    # what it says to configure is what the configuration takes, and then all that is in use passes
    place.write_text(place.read_text() + f'[watermark.text]\nkey_ids = "{usable}"\n')
    assert run(capsys, path, "--config", str(place))[0] == 0


def test_usage(place, tmp_path, capsys):
    few = write(tmp_path / "few.txt", texts(3, count=5))
    for argument in (few, str(tmp_path / "none.txt")):
        status, out = run(capsys, argument, "--config", str(place))
        assert status == 64
        assert "Traceback" not in out.err
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    assert run(capsys, str(tmp_path / "bytes.txt"), "--config", str(place))[0] == 64
    place.write_text(place.read_text() + '[watermark.text]\nkey_ids = "99"\n')
    assert run(capsys, few, "--config", str(place))[0] == 64
