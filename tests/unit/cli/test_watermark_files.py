"""``gensafe watermark embed|detect`` on files: what comes out, and what is said where nothing can."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from gensafe import media
from gensafe.cli import main
from gensafe.core.types import Audio, Video
from gensafe.media.animations import Animation, decode_animation, encode_animation

PAYLOAD = "0123456789abcd"
SIZE = 160


def scene(seed: int, shift: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(SIZE, SIZE, 3)), (6, 6, 0))
    return np.roll(np.clip(128 + 250 * noise, 0, 255), shift, axis=1).astype(np.uint8)


def film(frames: int = 6, sound: bool = False) -> bytes:
    audio = Audio(np.random.default_rng(0).normal(0, 0.1, (1, 16000)).astype(np.float32), 16000) if sound else None
    return media.encode(Video(np.stack([scene(1, 2 * i) for i in range(frames)]), 8.0, audio), "video/mp4")


def moving(frames: int = 3) -> Animation:
    pixels = np.stack([scene(2, 3 * i) for i in range(frames)])
    return Animation(
        np.dstack([pixels.reshape(-1, SIZE, 3), np.full((frames * SIZE, SIZE), 255, np.uint8)]).reshape(
            frames, SIZE, SIZE, 4
        ),
        (70,) * frames,
        plays=2,
    )


@pytest.fixture
def place(tmp_path):
    (tmp_path / "key").write_bytes(bytes(range(32)))
    Image.fromarray(scene(3)).save(tmp_path / "still.png")
    (tmp_path / "anim.gif").write_bytes(encode_animation(moving(), "image/gif"))
    (tmp_path / "film.mp4").write_bytes(film())
    (tmp_path / "note.txt").write_text("only words")
    (tmp_path / "junk.bin").write_bytes(b"\x00\x01\x02" * 99)
    (tmp_path / "cut.png").write_bytes((tmp_path / "still.png").read_bytes()[:200])
    return tmp_path


def embed(place, source: str, target: str, *more: str, payload: str = PAYLOAD) -> int:
    key = ["--key", str(place / "key")]
    return main(["watermark", "embed", str(place / source), str(place / target), "--payload", payload, *key, *more])


def detect(place, name: str, capsys) -> dict:
    capsys.readouterr()
    code = main(["watermark", "detect", str(place / name), "--key", str(place / "key"), "--json"])
    return {"code": code, **json.loads(capsys.readouterr().out)}


@pytest.mark.parametrize("target", ["out.png", "out.webp", "out.gif"])
def test_an_animation_keeps_its_frames_times_and_plays(place, target, capsys):
    assert embed(place, "anim.gif", target) == 0
    after = decode_animation((place / target).read_bytes())
    assert len(after.frames) == 3 and after.durations_ms == (70, 70, 70) and after.plays == 2
    found = detect(place, target, capsys)
    assert found["code"] == 0 and found["payload"] == PAYLOAD and found["scheme"] == "gensafe-image-1"


def test_an_animation_that_became_a_film_and_a_frame_that_became_a_picture_are_read(place, capsys):
    assert embed(place, "anim.gif", "out.webp") == 0 and embed(place, "film.mp4", "out.mp4") == 0
    frames = decode_animation((place / "out.webp").read_bytes()).shown()
    (place / "platform.mp4").write_bytes(media.encode(frames, "video/mp4"))
    shot = media.decode((place / "out.mp4").read_bytes()).frames[2]
    Image.fromarray(shot).save(place / "screenshot.png")
    assert detect(place, "platform.mp4", capsys)["scheme"] == "gensafe-image-1"
    found = detect(place, "screenshot.png", capsys)
    assert found["payload"] == PAYLOAD and found["scheme"].startswith("gensafe-video-1")


@pytest.mark.parametrize("target", ["out.png", "out.webp", "out.jpg"])
def test_transparency_is_kept_where_the_container_can(place, target, capsys):
    alpha = np.linspace(0, 255, SIZE).astype(np.uint8)[:, None].repeat(SIZE, 1)
    Image.fromarray(np.dstack([scene(3), np.maximum(alpha, 90)])).save(place / "glass.png")
    assert embed(place, "glass.png", target) == 0 and detect(place, target, capsys)["payload"] == PAYLOAD
    with Image.open(place / target) as after:
        assert after.mode == ("RGB" if target == "out.jpg" else "RGBA") and getattr(after, "n_frames", 1) == 1
        assert after.mode == "RGB" or np.array_equal(np.asarray(after)[..., 3], np.maximum(alpha, 90))


def test_embed_reports_in_json_and_says_when_the_sound_stays_unmarked(place, capsys):
    (place / "film.mp4").write_bytes(film(sound=True))
    assert embed(place, "film.mp4", "out.webm", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["payload"] == PAYLOAD and "audio track is too short" in said.err


@pytest.mark.parametrize(
    ("source", "target", "more", "code", "words"),
    [
        ("none.png", "out.png", (), 3, "No such file"),
        ("still.png", "out.gif", (), 64, "OUT: .gif"),
        ("still.png", "out.mp4", (), 64, ".mp4"),
        ("anim.gif", "out.jpg", (), 64, "an animation of 3 frames"),
        ("film.mp4", "out.png", (), 64, ".png"),
        ("note.txt", "out.txt", (), 64, "text is marked while it is written"),
        ("junk.bin", "out.png", (), 3, "unrecognised file type"),
        ("cut.png", "out.png", (), 3, "cut short"),
        ("still.png", "still.png", (), 64, "OUT is IN"),
        ("still.png", ".", (), 64, "is a directory"),
        ("still.png", "no/out.png", (), 64, "does not exist"),
        ("still.png", "out.png", ("--strength", "3"), 64, "between 0.5 and 2"),
        ("still.png", "out.png", ("--strength", "nan"), 64, "between 0.5 and 2"),
    ],
)
def test_refusals_say_what_and_leave_nothing(place, capsys, source, target, more, code, words):
    before = {p.name: p.read_bytes() for p in place.iterdir()}
    assert embed(place, source, target, *more) == code
    said = capsys.readouterr()
    assert words in said.err and not said.out and "Traceback" not in said.err
    assert {p.name: p.read_bytes() for p in place.iterdir()} == before


def test_a_bad_payload_and_a_bad_key(place, capsys):
    assert embed(place, "still.png", "out.png", payload="12") == 64 and "14 hex digits" in capsys.readouterr().err
    (place / "key").write_text("too short")
    assert embed(place, "still.png", "out.png") == 64 and "is not a watermark key" in capsys.readouterr().err
    (place / "key").unlink()
    assert embed(place, "still.png", "out.png") == 64 and "--key: cannot read" in capsys.readouterr().err


def test_what_cannot_carry_a_mark_fails_with_the_reason(place, capsys):
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(place / "tiny.png")
    assert embed(place, "tiny.png", "out.png") == 1 and "64 pixels" in capsys.readouterr().err
    assert not (place / "out.png").exists()


def test_pages_are_no_frames(place, capsys):
    pages, data = [Image.fromarray(scene(n)) for n in (4, 5)], io.BytesIO()
    pages[0].save(data, "TIFF", save_all=True, append_images=pages[1:])
    (place / "pages.tiff").write_bytes(data.getvalue())
    assert embed(place, "pages.tiff", "out.png") == 64 and "2 images in one file" in capsys.readouterr().err


def test_nothing_found_and_too_small_to_tell(place, capsys):
    assert detect(place, "still.png", capsys)["code"] == 2
    Image.fromarray(np.full((20, 20, 3), 90, np.uint8)).save(place / "tiny.png")
    assert main(["watermark", "detect", str(place / "tiny.png"), "--key", str(place / "key")]) == 2
    assert "undecidable" in (said := capsys.readouterr().out) and "too small to tell" in said
