"""Block lists of recordings and clips, and the command that makes them."""

import json

import numpy as np
import pytest
from PIL import Image as PilImage
from scipy.signal import resample_poly

from gensafe.cli import main
from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.types import Audio, Image, Stage, Text, Video
from gensafe.media import decode, encode
from gensafe.safety.classifiers import audio_hashlist, image_hashlist, video_hashlist
from gensafe.safety.signals.audio_print import audio_print
from gensafe.testing.classifier_contract import check_classifier

RATE = 16000


def tune(seed, seconds=8):
    """Random notes of three voices over a little noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    out = 0.01 * rng.standard_normal(t.size)
    for _ in range(3):
        step = rng.uniform(0.15, 0.4)
        notes = 200 * 2 ** (rng.integers(0, 30, int(seconds / step) + 2) / 12)
        place = (t / step).astype(int)
        phase = np.cumsum(2 * np.pi * notes[place] / RATE)
        out += 0.1 * (np.sin(phase) + 0.5 * np.sin(2 * phase)) * np.exp(-3 * (t / step % 1))
    return Audio(out.astype(np.float32)[None], RATE)


def landscape(seed):
    noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return np.asarray(PilImage.fromarray(noise).resize((320, 240), PilImage.Resampling.BICUBIC))


def film(seeds, fps=8, each=8):
    return Video(np.concatenate([np.repeat(landscape(s)[None], each, axis=0) for s in seeds]), float(fps))


def save(tmp_path, name, media, kind):
    path = tmp_path / name
    path.write_bytes(encode(media, kind))
    return str(path)


@pytest.fixture
def listed(tmp_path):
    """A list that the command made of a picture, a tune and a clip of five scenes."""
    target = str(tmp_path / "known.jsonl")
    files = [
        save(tmp_path, "a.png", Image(landscape(50)), "image/png"),
        save(tmp_path, "b.wav", tune(1), "audio/wav"),
        save(tmp_path, "c.mp4", film([1, 2, 3, 4, 5]), "video/mp4"),
    ]
    assert main(["hashlist", target, *files]) == 0
    return {"lists": f"cse={target}"}


def found(check, media):
    return [(f.category, f.score) for f in check.assess(media, Stage.OUTPUT).findings]


def test_each_classifier_reads_its_own_rows(listed):
    assert found(image_hashlist.create(listed), Image(landscape(50)[20:, :300])) == [("cse", 1.0)]
    assert found(audio_hashlist.create(listed), tune(1)) == [("cse", 1.0)]
    assert found(video_hashlist.create(listed), film([1, 2, 3, 4, 5])) == [("cse", 1.0)]
    assert found(image_hashlist.create(listed), Image(landscape(1))) == []  # a frame of the clip is no listed picture


def test_copies_of_a_recording(listed):
    check = audio_hashlist.create(listed)
    original = tune(1).samples[0]
    noise = np.random.default_rng(0).standard_normal(original.size) * original.std() / 10
    copies = {
        "quieter": Audio(0.1 * original[None], RATE),
        "mp3": decode(encode(tune(1), "audio/mpeg", quality=64)),
        "opus": decode(encode(tune(1), "audio/ogg", quality=32)),
        "noisy": Audio((original + noise).astype(np.float32)[None], RATE),
        "narrow": Audio(resample_poly(original, 1, 2).astype(np.float32)[None], RATE // 2),
        "in one channel": Audio(np.stack([tune(9).samples[0], original]), RATE),
    }
    for name, copy in copies.items():
        assert found(check, copy) == [("cse", 1.0)], name
    for seed in range(2, 10):
        assert found(check, tune(seed)) == []


def test_an_excerpt_is_found_at_its_time(listed):
    check = audio_hashlist.create(listed)
    longer = np.concatenate([tune(7).samples[0], tune(1).samples[0][2 * RATE : 6 * RATE], tune(8).samples[0]])
    (finding,) = check.assess(Audio(longer[None], RATE), Stage.OUTPUT).findings
    assert finding.times[0].start_s == pytest.approx(8.0, abs=1.0)
    assert finding.times[0].end_s == pytest.approx(12.0, abs=1.0)
    short = np.concatenate([tune(7).samples[0], tune(1).samples[0][2 * RATE : 3 * RATE], tune(8).samples[0]])
    assert found(check, Audio(short[None], RATE)) == []  # a second is not enough to tell


def test_silence_matches_nothing(listed):
    check = audio_hashlist.create(listed)
    assert (audio_print(np.zeros(3 * RATE, np.float32), RATE) == 0).all()
    assert found(check, Audio(np.zeros((1, 5 * RATE), np.float32), RATE)) == []


def test_eighty_percent_of_the_listed_clip(listed):
    check = video_hashlist.create(listed)
    assert found(check, film([20, 21, 1, 2, 3, 4, 22])) == [("cse", 1.0)]  # four of five scenes, in a longer clip
    assert found(check, film([1, 2, 3, 20, 21])) == []  # three of five
    mirrored = film([1, 2, 3, 4, 5])
    assert found(check, Video(mirrored.frames[:, :, ::-1], 8.0)) == [("cse", 1.0)]
    coded = decode(encode(film([1, 2, 3, 4, 5]), "video/mp4; codecs=avc1", quality=30))
    assert found(check, coded) == [("cse", 1.0)]
    assert found(check, film([30, 31, 32])) == []


def test_contracts(listed):
    assert audio_hashlist.create(listed).card().categories == ("cse", "lst")
    check_classifier(audio_hashlist.create(listed), (tune(1, 4), Audio(np.zeros((8, 40), np.float32), 96000)))
    check_classifier(video_hashlist.create(listed), (film([1, 2]), Video(np.zeros((1, 4, 4, 3), np.uint8), 0.5)))
    for create, item in ((audio_hashlist.create, tune(1)), (video_hashlist.create, film([1]))):
        assert found(create({}), item) == []
    with pytest.raises(SafetyUnavailable):
        audio_hashlist.create({}).assess(Text("x"), Stage.OUTPUT)


@pytest.mark.parametrize("row", ["{", '{"type": "HASH_AUDIO", "indicator": "12"}', '{"type": "HASH_AUDIO"}'])
def test_a_bad_line_is_named(tmp_path, row):
    path = tmp_path / "bad.jsonl"
    path.write_text(row)
    with pytest.raises(ConfigError):
        audio_hashlist.create({"lists": str(path)})
    path.write_text(row.replace("AUDIO", "VPDQ"))
    with pytest.raises(ConfigError):
        video_hashlist.create({"lists": str(path)})


def test_what_cannot_be_listed(tmp_path, capsys):
    target = str(tmp_path / "known.jsonl")
    files = [
        save(tmp_path, "plain.png", Image(np.full((64, 64, 3), 200, np.uint8)), "image/png"),
        save(tmp_path, "short.wav", Audio(tune(1).samples[:, :8000], RATE), "audio/wav"),
        save(tmp_path, "text.txt", Text("hello"), "text/plain"),
        str(tmp_path / "missing.png"),
        save(tmp_path, "good.png", Image(landscape(3)), "image/png"),
    ]
    assert main(["hashlist", "--json", target, *files]) == 3
    out = capsys.readouterr()
    assert [a["rows"] for a in json.loads(out.out)["added"]] == [10]
    assert out.err.count("\n") == 4
    assert main(["hashlist", str(tmp_path / "no" / "list"), files[-1]]) == 74
