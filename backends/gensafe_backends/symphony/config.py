"""The one frozen description of a Symphony model: sizes, vocabulary, span geometry. Saved as JSON with the weights."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from gensafe.core.errors import ConfigError

SPEC_VERSION = 1  # of ``model/spec.py``; raised when weights need another computation


@dataclass(frozen=True, slots=True)
class SymphonyConfig:
    """Everything an engine needs besides the weights. Lengths are in tokens, times in ticks of 1/64 s.

    Attributes:
        name: Model name, e.g. ``symphony-nano``.
        spec_version: Version of ``model/spec.py`` the weights follow.
        dim: Width of the residual stream, d.
        layers: Number of blocks, L.
        heads: Query heads, H = shared_heads + routed heads.
        kv_heads: Key/value heads; query head h reads key/value head ``h * kv_heads // heads``.
        head_dim: Width of a head, dh (even).
        shared_heads: Heads 0..shared_heads-1 are always on; the rest are routed.
        active_routed: How many routed heads a token uses, k.
        ffn_shared: Hidden width of the SwiGLU every token passes.
        ffn_modality: Hidden width of each modality's own SwiGLU.
        global_layers: Indices of layers without rotary positions that see the whole past.
        window: How many tokens (itself included) a local layer's query sees.
        train_length: Token count up to which global logits are not scaled (see spec, equation 2e).
        rope_pairs: Rotary pairs of a head given to the axes (t, y, x); sums to head_dim / 2.
        rope_bases: Rotary base of each axis.
        norm_eps: Epsilon of every RMSNorm.
        text_vocab: Size of the text range (256 bytes + BPE merges).
        image_levels: FSQ levels of an image token; their product is the size of the image range.
        audio_levels: The same for audio.
        video_levels: The same for video.
        image_grid: Rows and columns of image tokens.
        image_patch: Side in pixels of the patch one image token stands for.
        audio_tokens: Tokens in an audio span.
        audio_hop: Samples one audio token stands for.
        audio_rate: Samples per second.
        video_chunks: Chunks in a video span.
        video_grid: Rows and columns of video tokens in a chunk.
        video_patch: Side in pixels of a video tubelet.
        video_frames: Frames in a chunk.
        video_fps: Frames per second.
        video_audio_tokens: Audio tokens that follow the video tokens of each chunk.
        audio_ticks: Ticks an audio token lasts.
    """

    name: str
    spec_version: int = SPEC_VERSION
    dim: int = 192
    layers: int = 6
    heads: int = 6
    kv_heads: int = 2
    head_dim: int = 32
    shared_heads: int = 2
    active_routed: int = 2
    ffn_shared: int = 384
    ffn_modality: int = 192
    global_layers: tuple[int, ...] = (2, 5)
    window: int = 512
    train_length: int = 512
    rope_pairs: tuple[int, int, int] = (8, 4, 4)
    rope_bases: tuple[float, float, float] = (10000.0, 100.0, 100.0)
    norm_eps: float = 1e-5
    text_vocab: int = 960
    image_levels: tuple[int, ...] = (8, 5, 5, 5)
    audio_levels: tuple[int, ...] = (8, 5, 5, 5)
    video_levels: tuple[int, ...] = (8, 5, 5, 5)
    image_grid: int = 8
    image_patch: int = 32
    audio_tokens: int = 64
    audio_hop: int = 500
    audio_rate: int = 16000
    video_chunks: int = 6
    video_grid: int = 4
    video_patch: int = 32
    video_frames: int = 2
    video_fps: int = 8
    video_audio_tokens: int = 8
    audio_ticks: int = 2

    def __post_init__(self) -> None:
        """Refuse sizes that do not fit together."""
        if sum(self.rope_pairs) * 2 != self.head_dim:
            raise ConfigError(f"rope_pairs {self.rope_pairs} do not fill head_dim {self.head_dim}", field="rope_pairs")
        if self.heads % self.kv_heads:
            raise ConfigError("heads must be a multiple of kv_heads", field="kv_heads")
        if not 0 <= self.active_routed <= self.routed_heads:
            raise ConfigError("active_routed is larger than the number of routed heads", field="active_routed")

    @property
    def routed_heads(self) -> int:
        """Heads that a router switches on and off."""
        return self.heads - self.shared_heads

    @property
    def image_tokens(self) -> int:
        """Tokens of an image span."""
        return self.image_grid * self.image_grid

    @property
    def chunk_tokens(self) -> int:
        """Tokens of one chunk of a video span: its picture, then its sound."""
        return self.video_grid * self.video_grid + self.video_audio_tokens

    @property
    def video_tokens(self) -> int:
        """Tokens of a video span, sound included."""
        return self.video_chunks * self.chunk_tokens

    @property
    def chunk_ticks(self) -> int:
        """Ticks of 1/64 s one chunk lasts."""
        return self.video_audio_tokens * self.audio_ticks

    @property
    def slots(self) -> int:
        """Rows of the slot table: one for text, then every place of an image, audio and video span plus its end."""
        return 1 + (self.image_tokens + 1) + (self.audio_tokens + 1) + (self.video_tokens + 1)

    def to_json(self) -> str:
        """Stable JSON text."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> SymphonyConfig:
        """Read what ``to_json`` wrote; unknown keys are refused (they would change the computation)."""
        try:
            raw: dict[str, Any] = json.loads(text)
            unknown = set(raw) - {f.name for f in fields(cls)}
            if unknown:
                raise ConfigError(f"unknown keys in model config: {sorted(unknown)}", field=sorted(unknown)[0])
            values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()}
            return cls(**values)
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigError(f"model config is not readable: {error}", field="config.json") from error

    @classmethod
    def load(cls, directory: Path) -> SymphonyConfig:
        """Read ``config.json`` of a bundle."""
        try:
            return cls.from_json((directory / "config.json").read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"no model config in {directory}", field="config.json") from error


# The shipped model: trained in about four hours on a CPU (docs/symphony-training.md). Shipped weights depend on it.
NANO = SymphonyConfig(
    name="symphony-nano",
    dim=128,
    layers=5,
    heads=8,
    kv_heads=4,
    head_dim=16,
    shared_heads=3,
    active_routed=3,
    ffn_shared=256,
    ffn_modality=128,
    global_layers=(2,),
    window=256,
    rope_pairs=(4, 2, 2),
    video_levels=(8, 8, 6, 5),
)
# A small model for tests; its sizes are round numbers, not measured.
PICO = SymphonyConfig(
    name="symphony-pico",
    dim=64,
    layers=2,
    heads=4,
    kv_heads=2,
    head_dim=16,
    shared_heads=2,
    active_routed=1,
    ffn_shared=128,
    ffn_modality=64,
    global_layers=(1,),
    rope_pairs=(4, 2, 2),
)
CONFIGS = {"nano": NANO, "pico": PICO}
