"""The universal tokenizer: any medium -> ids of the one vocabulary, and back.

One class, one learned coder per medium, the same arithmetic everywhere (numpy, float64), so ids are the same on every
backend. Pictures of any size are brought to 256x256, sound to 16 kHz mono of two seconds, video to 12 frames of
128x128.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from gensafe.core.errors import ConfigError, InvalidRequest, UnsupportedMedia
from gensafe.core.types import Audio, Image, Media, Modality, Text, Video
from gensafe_backends.symphony.config import SymphonyConfig
from gensafe_backends.symphony.sequence import TokenSpan, join_video, place_range, span_length, split_video
from gensafe_backends.symphony.tokenizers import pictures, stft
from gensafe_backends.symphony.tokenizers.coder import Coder, CoderConfig
from gensafe_backends.symphony.tokenizers.text import TextTokenizer
from gensafe_backends.symphony.vocab import ModalityId, vocabulary
from gensafe_backends.symphony.weights import load_tensors, read_verified

MODALITY_IDS = {
    Modality.TEXT: ModalityId.TEXT,
    Modality.IMAGE: ModalityId.IMAGE,
    Modality.AUDIO: ModalityId.AUDIO,
    Modality.VIDEO: ModalityId.VIDEO,
}
FRAMES_PER_TOKEN = 4  # 31 ms of sound; shipped weights depend on it
PEAK = 0.98  # of full scale: room for a coder to overshoot. Chosen by eye, not measured


class UniversalTokenizer:
    """Media <-> ids. Build with ``load``; stateless afterwards and safe to share between threads."""

    def __init__(self, config: SymphonyConfig, text: TextTokenizer, coders: dict[str, Coder]) -> None:
        self.config = config
        self.text = text
        self.coders = coders
        self._vocab = vocabulary(config)

    @classmethod
    def load(cls, directory: Path) -> UniversalTokenizer:
        """Read the tokenizer of a bundle, digests checked.

        Raises:
            ConfigError: a file is missing, altered or malformed.
        """
        config = SymphonyConfig.from_json(read_verified(directory, "config.json").decode("utf-8"))
        try:
            meta = json.loads(read_verified(directory, "tokenizer.json"))
            text = TextTokenizer([(a, b) for a, b in meta["merges"]], config.text_vocab)
            tensors = load_tensors(read_verified(directory, "tokenizer.safetensors"))
            coders = {}
            for name, raw in meta["coders"].items():
                values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()}
                sizes = CoderConfig(**values)
                own = {k: tensors[f"{name}.{k}"] for k in sizes.shapes()}
                if {k: v.shape for k, v in own.items()} != sizes.shapes():
                    raise ConfigError(f"{name} coder has tensors of the wrong shape", field="tokenizer.safetensors")
                coders[name] = Coder(sizes, own)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"tokenizer is not readable: {error}", field="tokenizer.json") from error
        return cls(config, text, coders)

    def metadata(self) -> str:
        """JSON text of ``tokenizer.json``."""
        coders = {name: asdict(coder.config) for name, coder in self.coders.items()}
        return json.dumps({"merges": self.text.merges, "coders": coders}, sort_keys=True) + "\n"

    # --- text -------------------------------------------------------------------------------------------------------

    def encode_text(self, text: str) -> list[int]:
        """Vocabulary ids of a text."""
        return [i + self._vocab.text.start for i in self.text.encode(text)]

    def decode_text(self, ids: Sequence[int]) -> str:
        """Text of vocabulary ids; control ids are refused."""
        return self.text.decode([i - self._vocab.text.start for i in ids])

    # --- any medium -------------------------------------------------------------------------------------------------

    def encode(self, media: Media) -> list[int]:
        """Vocabulary ids of one medium, without the control ids around it.

        Raises:
            UnsupportedMedia: the medium is empty.
        """
        if isinstance(media, Text):
            return self.encode_text(media.text)
        if isinstance(media, Image):
            return self._encode_image(media.pixels)
        if isinstance(media, Audio):
            return self._encode_audio(media, self.config.audio_tokens)
        return self._encode_video(media)

    def span(self, media: Media) -> TokenSpan:
        """``encode`` as a span for ``sequence.prompt_ids``."""
        return TokenSpan(MODALITY_IDS[Modality(media.modality)], tuple(self.encode(media)))

    def decode(self, modality: Modality, ids: Sequence[int]) -> Media:
        """The medium a span of ids stands for.

        Args:
            modality: What to decode to.
            ids: A whole span without its control ids.

        Raises:
            InvalidRequest: wrong length, or an id outside the range of its place.
        """
        kind = MODALITY_IDS[Modality(modality)]
        if kind is ModalityId.TEXT:
            if any(i not in self._vocab.text for i in ids):
                raise InvalidRequest("a text span holds an id that is not text")
            return Text(self.decode_text(ids))
        if len(ids) != span_length(kind, self.config):
            raise InvalidRequest(f"a span of {kind.name.lower()} has {len(ids)} tokens")
        if any(i not in place_range(kind, n, self.config) for n, i in enumerate(ids)):
            raise InvalidRequest(f"a span of {kind.name.lower()} holds an id of another modality")
        if kind is ModalityId.IMAGE:
            return Image(self._decode_pictures("image", ids, self.config.image_grid, 1)[0])
        if kind is ModalityId.AUDIO:
            return Audio(self._decode_sound(ids), self.config.audio_rate)
        picture, sound = split_video(ids, self.config)
        frames = self._decode_pictures("video", picture, self.config.video_grid, self.config.video_frames)
        return Video(frames, float(self.config.video_fps), Audio(self._decode_sound(sound), self.config.audio_rate))

    def first_id(self, coder: str) -> int:
        """The vocabulary id of local id 0 of ``coders[coder]``."""
        return self._vocab.range_of(ModalityId[coder.upper()]).start

    # --- pictures ---------------------------------------------------------------------------------------------------

    def _encode_image(self, pixels: NDArray[np.uint8]) -> list[int]:
        if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
            raise UnsupportedMedia("an image must be (H, W, 3) and not empty")
        side = self.config.image_grid * self.config.image_patch
        frame = pictures.resize(pixels, side, side)[None]
        return self._encode_patches("image", frame, self.config.image_patch)

    def _encode_patches(self, name: str, frames: NDArray[np.float64], patch: int) -> list[int]:
        features = pictures.patch_features(pictures.to_patches(frames, patch))
        start = self._vocab.range_of(ModalityId[name.upper()]).start
        return [int(i) + start for i in self.coders[name].encode(features)]

    def _decode_pictures(self, name: str, ids: Sequence[int], grid: int, frames: int) -> NDArray[np.uint8]:
        start = self._vocab.range_of(ModalityId[name.upper()]).start
        patch = self.config.image_patch if name == "image" else self.config.video_patch
        values = self.coders[name].decode(np.asarray(ids, dtype=np.int64) - start)
        groups = values.reshape(-1, grid * grid, frames, patch, patch, 3)
        return pictures.to_uint8(np.concatenate([pictures.from_patches(g, grid, grid) for g in groups]))

    # --- sound ------------------------------------------------------------------------------------------------------

    def _encode_audio(self, audio: Audio, tokens: int) -> list[int]:
        features = stft.band_features(np.abs(stft.stft(self.mono(audio, tokens))), FRAMES_PER_TOKEN)
        return [int(i) + self._vocab.audio.start for i in self.coders["audio"].encode(features)]

    def mono(self, audio: Audio, tokens: int) -> NDArray[np.float64]:
        """What ``tokens`` audio tokens are made from: one channel at the model's rate, cut or padded to their length.

        Raises:
            UnsupportedMedia: the sound is empty.
        """
        c = self.config
        if audio.samples.size == 0 or audio.rate <= 0:
            raise UnsupportedMedia("audio must have samples at a positive rate")
        mono = np.asarray(audio.samples, dtype=np.float64).reshape(-1, audio.samples.shape[-1]).mean(axis=0)
        if audio.rate != c.audio_rate:
            common = gcd(audio.rate, c.audio_rate)
            mono = resample_poly(mono, c.audio_rate // common, audio.rate // common)
        wanted = tokens * c.audio_hop
        return np.pad(mono[:wanted], (0, max(0, wanted - len(mono))))

    def _decode_sound(self, ids: Sequence[int]) -> NDArray[np.float32]:
        places = self.config.audio_tokens
        local = np.asarray(ids, dtype=np.int64) - self._vocab.audio.start
        padded = np.concatenate([local, np.full(places - len(local), local[-1])])
        values = self.coders["audio"].decode(padded)[: len(local)]
        magnitude = stft.from_log_magnitude(values.reshape(-1, stft.BINS))
        samples = stft.griffin_lim(magnitude)
        peak = float(np.abs(samples).max(initial=0.0))
        return (samples * min(1.0, PEAK / max(peak, 1e-9))).astype(np.float32)[None]

    # --- video ------------------------------------------------------------------------------------------------------

    def _encode_video(self, video: Video) -> list[int]:
        c = self.config
        if video.frames.ndim != 4 or 0 in video.frames.shape or video.fps <= 0:
            raise UnsupportedMedia("a video must be (n, H, W, 3) frames at a positive rate")
        count, side = c.video_chunks * c.video_frames, c.video_grid * c.video_patch
        times = (np.arange(count) + 0.5) / c.video_fps
        index = np.clip((times * video.fps).astype(np.int64), 0, len(video.frames) - 1)
        frames = np.stack([pictures.resize(video.frames[i], side, side) for i in index])
        picture: list[int] = []
        for k in range(c.video_chunks):
            chunk = frames[k * c.video_frames : (k + 1) * c.video_frames]
            picture += self._encode_patches("video", chunk, c.video_patch)
        sound_tokens = c.video_chunks * c.video_audio_tokens
        silence = Audio(np.zeros((1, 1), dtype=np.float32), c.audio_rate)
        return join_video(picture, self._encode_audio(video.audio or silence, sound_tokens), c)
