"""``gensafe classify``: every part of a file is judged, and the verdict is drawn."""

import io
import json
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from gensafe.cli import main
from gensafe.core.types import Audio, Image
from gensafe.media import decode, encode

POLICY = """
id = "parts"
version = "1"
[classifiers]
text = ["text_rules"]
image = ["image_signal", "image_text"]
audio = ["audio_signal"]
video = ["video_signal"]
[categories.pii]
review = 0.5
block = 0.5
"""


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    return str(path)


def moving(count=16):
    frames = np.full((count, 64, 64, 3), (60, 120, 90), np.uint8)
    for i, frame in enumerate(frames):
        frame[20:36, 2 * i : 2 * i + 16] = (220, 60, 40)
    return frames


def clip(path, frames, subtitles="", attachment=False):
    with av.open(str(path), "w", format="matroska") as container:
        track = container.add_stream("libvpx-vp9", rate=8)
        track.height, track.width = frames.shape[1:3]
        track.pix_fmt = "yuv420p"
        if subtitles:
            source = av.open(io.BytesIO(subtitles.encode()), format="srt")
            text = container.add_stream_from_template(source.streams[0])
        if attachment:
            container.add_attachment("letter.ttf", "application/x-truetype-font", b"not a font")
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 8)
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
        if subtitles:
            for packet in source.demux(source.streams[0]):
                if packet.dts is not None:
                    packet.stream = text
                    container.mux(packet)
    return str(path)


def run(capsys, *arguments):
    code = main(["classify", "--json", *arguments])
    return code, json.loads(capsys.readouterr().out)


def test_subtitles_are_judged_at_their_times(tmp_path, policy, capsys):
    said = "1\n00:00:00,100 --> 00:00:00,500\nhello\n\n2\n00:00:01,000 --> 00:00:01,500\nann.smith@example.org\n"
    code, verdict = run(capsys, clip(tmp_path / "a.mkv", moving(), said), "--policy", policy)
    assert code == 2
    (found,) = [d for d in verdict["decisions"] if d["category"] == "pii"]
    assert found["times_ms"] == [[1000, 1500]] and "spans" not in found
    assert found["detail"].startswith("in subtitle track 2 (srt)") and "ann" not in found["detail"]
    assert {"classifier": "file", "unit": "parts", "examined": 2, "total": 2} in verdict["coverage"]
    code, _ = run(capsys, clip(tmp_path / "b.mkv", moving(), said.replace("@", " at ")), "--policy", policy)
    assert code == 0


def test_what_cannot_be_examined_blocks(tmp_path, policy, capsys):
    code, verdict = run(capsys, clip(tmp_path / "a.mkv", moving(), attachment=True), "--policy", policy)
    assert code == 3 and verdict["action"] == "block"
    assert any("attachment" in e and e.startswith("not examined") for e in verdict["errors"])
    assert {"classifier": "file", "unit": "parts", "examined": 1, "total": 2} in verdict["coverage"]


def test_the_frames_behind_the_first_are_judged(tmp_path, policy, capsys):
    strobe = [PilImage.new("RGB", (64, 64), "white" if i % 2 else "black") for i in range(40)]
    still = PilImage.fromarray(moving()[0])
    path = tmp_path / "a.gif"
    still.save(path, "GIF", save_all=True, append_images=strobe, duration=50)
    code, verdict = run(capsys, str(path), "--policy", policy)
    assert code == 2
    (found,) = [d for d in verdict["decisions"] if d["category"] == "phy"]
    assert "animation of 41 frames" in found["detail"] and found["times_ms"]


def test_the_verdict_is_drawn(tmp_path, policy, capsys):
    page = PilImage.new("RGB", (360, 200), "white")
    ImageDraw.Draw(page).text((12, 60), "ann.smith@example.org", font=ImageFont.load_default(22), fill="black")
    path, out = tmp_path / "page.png", tmp_path / "verdict.png"
    path.write_bytes(encode(Image(np.asarray(page)), "image/png"))
    assert main(["classify", str(path), "--policy", policy, "--picture", str(out)]) == 2
    drawn = decode(out.read_bytes()).pixels
    from gensafe.core.types import Action
    from gensafe.media.verdict_picture import COLOURS, WIDTH

    assert drawn.shape[1] == WIDTH
    red = (drawn[:, 40:] == COLOURS[Action.BLOCK]).all(axis=-1)
    rows = np.flatnonzero(red.sum(axis=1) > 400)  # the long sides of the box; the picture is drawn 2.53 times as large
    assert 56 + 2.53 * 55 < rows.min() < rows.max() < 56 + 2.53 * 95


def test_a_text_has_no_picture(policy, capsys, tmp_path):
    assert main(["classify", "--text", "hello", "--policy", policy, "--picture", str(tmp_path / "x.png")]) == 64
    assert "--picture" in capsys.readouterr().err


def test_a_picture_that_cannot_be_written(policy, capsys, tmp_path):
    path = tmp_path / "s.wav"
    path.write_bytes(encode(Audio((0.1 * np.sin(np.arange(8000) / 9)).astype(np.float32)[None], 16000), "audio/wav"))
    assert main(["classify", str(path), "--policy", policy, "--picture", str(tmp_path / "no" / "x.png")]) == 74
    assert "--picture" in capsys.readouterr().err
