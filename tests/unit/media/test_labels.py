"""Labels in every container: written, read back, read by other people's readers, and never at the content's cost."""

from __future__ import annotations

import io
import json
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PilImage

from gensafe import media as codecs
from gensafe.core.errors import CannotCarry, ConfigError, GensafeError, UnreadableMedia, UnsupportedMedia
from gensafe.core.types import Audio, Image, Text, Video
from gensafe.media.labels import (
    LABELLED_TYPES,
    PROFILES,
    Aigc,
    LatentLabel,
    apply_visible,
    can_label,
    evidence,
    read_labels,
    write_labels,
)
from gensafe.media.labels import xmp as packets

AIGC = Aigc("00119144030071526726XG00001", "0123456789abc", reserved1="sha256:00")
LABEL = LatentLabel(
    provider='Müller & Söhne <"AI">',
    system="GenSafe",
    version="0.1.0",
    time="2026-11-21T04:00:00.000Z",
    content_id="0123456789abc",
    detector="https://detector.example/verify",
    profile="cn",
    aigc=AIGC,
)


def picture(height: int = 96, width: int = 128) -> Image:
    rng = np.random.default_rng(3)
    return Image(rng.integers(0, 255, (height, width, 3), np.uint8))


def sound() -> Audio:
    return Audio((np.sin(np.arange(16_000) / 9)[None] * 0.3).astype(np.float32), 16_000)


def film() -> Video:
    rng = np.random.default_rng(4)
    frames = np.repeat(rng.integers(0, 255, (1, 64, 64, 3), np.uint8), 12, axis=0)
    return Video(frames, 12.0, sound())


def encoded(media_type: str) -> bytes:
    kind = media_type.partition("/")[0]
    item = {"image": picture(), "audio": sound(), "video": film()}[kind]
    return codecs.encode(item, media_type)


FILES = {name: encoded(name) for name in LABELLED_TYPES}
LABELLED = {name: write_labels(data, name, LABEL) for name, data in FILES.items()}


def same(a: object, b: object) -> bool:
    match a, b:
        case Image(), Image():
            return np.array_equal(a.pixels, b.pixels)
        case Audio(), Audio():
            return a.rate == b.rate and np.array_equal(a.samples, b.samples)
        case Video(), Video():
            return np.array_equal(a.frames, b.frames) and a.fps == b.fps and same(a.audio, b.audio)
    return False


@pytest.mark.parametrize("media_type", LABELLED_TYPES)
def test_labels_come_back_and_the_content_is_untouched(media_type: str):
    labelled = LABELLED[media_type]
    found = read_labels(labelled, media_type)
    assert found["label"] == {
        "provider": LABEL.provider,
        "system": "GenSafe",
        "version": "0.1.0",
        "time": LABEL.time,
        "content_id": LABEL.content_id,
        "action": "created",
        "source_type": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
        "detector": LABEL.detector,
        "profile": "cn",
    }
    assert found["iptc"]["AISystemUsed"] == "GenSafe"
    assert "AIPromptInformation" not in found["iptc"]
    assert found["aigc"] == json.loads(AIGC.encode())
    assert "problems" not in found
    assert same(codecs.decode(labelled, media_type), codecs.decode(FILES[media_type], media_type))


@pytest.mark.parametrize("media_type", LABELLED_TYPES)
def test_writing_is_deterministic_and_an_unlabelled_file_reads_empty(media_type: str):
    assert write_labels(FILES[media_type], media_type, LABEL) == LABELLED[media_type]
    assert read_labels(FILES[media_type], media_type) == {}


@pytest.mark.parametrize("media_type", [t for t in LABELLED_TYPES if t != "video/mp4"])
def test_a_second_label_replaces_the_first(media_type: str):
    other = LatentLabel("Other", "S", "2", LABEL.time, "id2", altered=True)
    found = read_labels(write_labels(LABELLED[media_type], media_type, other), media_type)
    assert found["label"]["provider"] == "Other"
    assert found["label"]["action"] == "altered"
    assert found["packets"] == 1
    assert "aigc" not in found


def test_a_film_takes_one_label():
    with pytest.raises(UnsupportedMedia):
        write_labels(LABELLED["video/mp4"], "video/mp4", LABEL)


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "image/webp"])
def test_pillow_finds_the_packet(media_type: str):
    with PilImage.open(io.BytesIO(LABELLED[media_type])) as opened:
        opened.load()
        packet = opened.info.get("xmp") or opened.info.get("XML:com.adobe.xmp")
    packet = packet.encode() if isinstance(packet, str) else packet
    assert packets.decode(packet)["TC260:AIGC"] == AIGC.encode()


@pytest.mark.parametrize("media_type", ["video/mp4", "audio/mpeg"])
def test_ffmpeg_finds_the_chinese_key(media_type: str):
    with av.open(io.BytesIO(LABELLED[media_type])) as container:
        assert json.loads(container.metadata["AIGC"])["ContentProducer"] == AIGC.producer


@pytest.mark.parametrize("faststart", [False, True])
def test_samples_of_a_film_are_found_wherever_moov_stands(faststart: bool, tmp_path: Path):
    out = tmp_path / "out.mp4"  # moving moov to the front needs a file that can be read back
    options = {"movflags": "faststart"} if faststart else {}
    with (
        av.open(io.BytesIO(FILES["video/mp4"])) as source,
        av.open(str(out), "w", format="mp4", options=options) as target,
    ):
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    data = out.read_bytes()
    assert (data.index(b"moov") < data.index(b"mdat")) is faststart
    labelled = write_labels(data, "video/mp4", LABEL)
    assert same(codecs.decode(labelled, "video/mp4"), codecs.decode(data, "video/mp4"))
    assert read_labels(labelled, "video/mp4")["aigc_places"] == ["xmp", "container"]


def test_existing_id3_frames_are_kept():
    out = io.BytesIO()
    with av.open(io.BytesIO(FILES["audio/mpeg"])) as source, av.open(out, "w", format="mp3") as target:
        target.metadata["title"] = "A Title"
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert out.getvalue()[:3] == b"ID3"
    labelled = write_labels(out.getvalue(), "audio/mpeg", LABEL)
    with av.open(io.BytesIO(labelled)) as container:
        assert container.metadata["title"] == "A Title"
        assert "AIGC" in container.metadata


def test_evidence_states_what_the_profile_wants_and_what_is_missing():
    there = evidence(LABEL, LABELLED["image/png"], "image/png")
    assert there["missing"] == []
    assert "aigc" in there["fields"]
    assert str(there["aigc_digest"]).startswith("sha256:")
    stripped = evidence(LABEL, FILES["image/png"], "image/png")
    assert stripped["fields"] == []
    assert set(stripped["missing"]) == set(PROFILES["cn"].fields)  # type: ignore[call-overload]


def test_two_labels_in_one_file_are_named_as_a_problem():
    data = LABELLED["video/mp4"]
    second = packets.encode(LatentLabel("B", "S", "1", LABEL.time, "x"))
    box = (24 + len(second)).to_bytes(4, "big") + b"uuid" + bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + second
    assert "2 XMP packets" in read_labels(data + box, "video/mp4")["problems"]


def test_the_chinese_profile_needs_its_code_and_text_has_no_place():
    with pytest.raises(ConfigError):
        write_labels(FILES["image/png"], "image/png", LatentLabel("P", "S", "1", "t", "i", profile="cn"))
    assert not can_label("text/plain")
    with pytest.raises(UnsupportedMedia):
        write_labels(b"text", "text/plain", LABEL)


@pytest.mark.parametrize("changes", [{"provider": ""}, {"system": "a\nb"}, {"content_id": "x" * 600}])
def test_fields_are_one_line(changes: dict[str, str]):
    values = {"provider": "P", "system": "S", "version": "1", "time": "t", "content_id": "i", **changes}
    with pytest.raises(ConfigError):
        LatentLabel(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "packet",
    [
        b"<",
        b"\xff\xfe",
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>',
        b"<x>" + b"<a>" * 5000,
        b"x" * 300_000,
    ],
)
def test_hostile_packets_are_refused(packet: bytes):
    with pytest.raises(UnreadableMedia):
        packets.decode(packet)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(LABELLED_TYPES), st.data())
def test_damaged_files_only_raise_our_errors(media_type: str, data: st.DataObject):
    raw = bytearray(LABELLED[media_type])
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    for broken in (bytes(raw), bytes(raw[:cut])):
        for action in (read_labels, lambda d, t: write_labels(d, t, LABEL)):
            try:
                action(broken, media_type)
            except GensafeError:
                pass


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=80))
def test_any_text_survives_the_packet(text: str):
    label = LatentLabel(text, "S", "1", "t", "i")
    assert packets.decode(packets.encode(label))["gensafe:provider"] == text


# --- visible ---


@pytest.mark.parametrize("size", [(96, 128), (256, 256), (512, 200), (1080, 1920)])
@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_the_drawn_label_is_at_least_five_percent_high(size: tuple[int, int], profile: str):
    before = picture(*size)
    try:
        after, seen = apply_visible(before, profile)
    except CannotCarry:
        assert min(size) < 128
        return
    assert seen.height_permille >= PROFILES[profile].min_height_permille
    changed = np.nonzero((after.pixels != before.pixels).any(2))  # type: ignore[union-attr]
    high = changed[0].max() - changed[0].min() + 1
    assert high * 1000 // min(size) >= 50
    assert changed[1].max() < size[1]
    share = len(changed[0]) / (size[0] * size[1])
    assert share < 0.25


def test_the_label_is_white_on_black_on_any_background():
    for value in (0, 255):
        after, _ = apply_visible(Image(np.full((256, 256, 3), value, np.uint8)), "eu")
        patch = after.pixels[200:, 100:]  # type: ignore[union-attr]
        assert patch.min() == 0
        assert patch.max() == 255


def test_every_frame_of_a_film_carries_it():
    video = Video(np.full((6, 128, 256, 3), 90, np.uint8), 3.0)
    after, seen = apply_visible(video, "cn")
    assert seen.text == "AI生成"
    assert seen.duration_ms == 2000
    assert all((frame != 90).any() for frame in after.frames)  # type: ignore[union-attr]


def test_sound_gets_the_rhythm_in_front_and_keeps_what_follows():
    before = sound()
    after, seen = apply_visible(before, "cn")
    assert seen.duration_ms >= 2000
    samples = after.samples  # type: ignore[union-attr]
    assert np.array_equal(samples[:, -before.samples.shape[1] :], before.samples)
    head = np.abs(samples[0, : 2 * 16_000]) > 0.01
    units = [
        bool(head[int((i + 0.5) * 0.12 * 16_000) - 40 : int((i + 0.5) * 0.12 * 16_000) + 40].any()) for i in range(14)
    ]
    assert "".join("1" if u else "0" for u in units) == "10111000101000"


def test_text_says_so_at_its_end():
    after, seen = apply_visible(Text("A red square."), "eu")
    assert after.text == "A red square.\n\n[AI-generated]"  # type: ignore[union-attr]
    assert seen.kind == "written"


def test_too_small_pictures_are_refused_not_smeared():
    with pytest.raises(CannotCarry):
        apply_visible(picture(32, 32), "eu")
    with pytest.raises(ConfigError):
        apply_visible(picture(), "nowhere")
