"""What a generated medium goes through before its tokens are read again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.watermark.audio import attacks as attacks_audio
from benchmarks.watermark.image import attacks as pictures
from benchmarks.watermark.video import attacks as films
from gensafe.core.errors import CannotCarry
from gensafe.core.types import Audio, Image, Media, Video
from gensafe_backends.symphony.vocab import ModalityId
from gensafe_watermark import audio, image

Attack = Callable[[Media, np.random.Generator], Media]
KEY = bytes(range(32))
PAYLOAD = bytes([0x10]) + bytes(range(6))
_SOUND = attacks_audio.attacks()


def picture(attack: pictures.Attack) -> Attack:
    """An attack on a picture."""

    def run(media: Media, rng: np.random.Generator) -> Media:
        assert isinstance(media, Image)
        return Image(attack(media.pixels, rng))

    return run


def sound(attack: attacks_audio.Attack) -> Attack:
    """An attack on a sound."""

    def run(media: Media, rng: np.random.Generator) -> Media:
        assert isinstance(media, Audio)
        return Audio(np.atleast_2d(attack(media.samples, media.rate, rng)).astype(np.float32), media.rate)

    return run


def film(frames: films.FilmAttack, track: attacks_audio.Attack) -> Attack:
    """Attacks on the frames of a film and on its sound."""
    heard = sound(track)

    def run(media: Media, rng: np.random.Generator) -> Media:
        assert isinstance(media, Video)
        assert media.audio is not None
        after = heard(media.audio, rng)
        assert isinstance(after, Audio)
        return Video(frames(media.frames, media.fps, rng), media.fps, after)

    return run


def _int16(x: attacks_audio.Samples, rate: int, rng: np.random.Generator) -> attacks_audio.Samples:
    return (np.round(x * 32767) / 32767).astype(np.float32)


def payload_marked(media: Media) -> Media:
    """A picture or sound as the service gives it out: with the payload mark, or as it is where it cannot carry one."""
    try:
        if isinstance(media, Image):
            return Image(image.embed(media.pixels, PAYLOAD, KEY))
        assert isinstance(media, Audio)
        return Audio(audio.embed(media.samples, media.rate, PAYLOAD, KEY), media.rate)
    except CannotCarry:
        return media


def after_payload(then: Attack) -> Attack:
    """The payload mark first."""
    return lambda media, rng: then(payload_marked(media), rng)


def _same(frames: films.Frames, fps: float, rng: np.random.Generator) -> films.Frames:
    return frames


ATTACKS: dict[ModalityId, dict[str, Attack]] = {
    ModalityId.IMAGE: {
        "none": lambda media, rng: media,
        **{f"JPEG {q}": picture(pictures.codec("JPEG", q)) for q in (90, 70, 50)},
        "resize 0.5 and back": picture(pictures.scale(0.5, back=True)),
        "resize 1.5": picture(pictures.scale(1.5)),
        "noise 0.02": picture(pictures.noise(0.02)),
        "payload mark": after_payload(lambda media, rng: media),
        "payload mark, JPEG 90": after_payload(picture(pictures.codec("JPEG", 90))),
    },
    ModalityId.AUDIO: {
        "none": sound(_int16),
        "MP3 128": sound(_SOUND["mp3_128k"]),
        "MP3 64": sound(_SOUND["mp3_64k"]),
        "white noise 30 dB": sound(_SOUND["white30dB"]),
        "white noise 20 dB": sound(_SOUND["white20dB"]),
        "resampled to 8 kHz": sound(_SOUND["resample8k"]),
        "payload mark": after_payload(sound(_int16)),
        "payload mark, MP3 128": after_payload(sound(_SOUND["mp3_128k"])),
    },
    ModalityId.VIDEO: {
        "none": film(_same, _int16),
        "H.264 CRF 23, MP3 128": film(films.encode("libx264", 23), _SOUND["mp3_128k"]),
        "H.264 CRF 30, MP3 64": film(films.encode("libx264", 30), _SOUND["mp3_64k"]),
        "resize 0.5 and back": film(films.each(pictures.scale(0.5, back=True)), _int16),
        "noise 0.02, 30 dB": film(films.each(pictures.noise(0.02)), _SOUND["white30dB"]),
    },
}
