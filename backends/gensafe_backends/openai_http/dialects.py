"""What servers with the same interface name differently. Read in their documentation, November 2026."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gensafe.core.types.parameters import TEXT_PARAMETERS

_OPENAI_TEXT: Final = TEXT_PARAMETERS - {"top_k", "min_p", "repetition_penalty"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one family of servers wants to be spoken to.

    Args:
        max_tokens: Name of the bound on a text's length.
        text: Text parameters that it honours.
        image: Parameter name of ours -> its name, for pictures; width and height always become ``size``.
        image_response_format: Whether ``response_format: b64_json`` is sent (GPT image models refuse it).
        image_seed: Whether pictures take a seed.
        speech: Parameter name of ours -> its name.
        sound: Endpoint of sound and music that is not speech; "" = none.
        video_multipart: ``/videos`` takes a form (else JSON).
        video: Parameter name of ours -> its name.
        rename: Text parameter names that differ.
        usage: Whether ``stream_options.include_usage`` is understood.
    """

    max_tokens: str = "max_tokens"
    text: frozenset[str] = _OPENAI_TEXT
    image: Mapping[str, str] = field(default_factory=dict)
    image_response_format: bool = True
    image_seed: bool = False
    speech: Mapping[str, str] = field(default_factory=lambda: {"speed": "speed", "voice": "voice"})
    sound: str = ""
    video_multipart: bool = True
    video: Mapping[str, str] = field(default_factory=lambda: {"seconds": "seconds"})
    rename: Mapping[str, str] = field(default_factory=dict)
    usage: bool = True


_DIFFUSION: Final = {"negative_prompt": "negative_prompt", "steps": "num_inference_steps", "guidance": "guidance_scale"}

DIALECTS: Final[Mapping[str, Dialect]] = {
    # whatever says that it is compatible: only what every server takes
    "compatible": Dialect(usage=False),
    "openai": Dialect(max_tokens="max_completion_tokens", image_response_format=False),
    "vllm-omni": Dialect(
        text=TEXT_PARAMETERS,
        image=_DIFFUSION,
        image_seed=True,
        speech={"speed": "speed", "voice": "voice", "language": "language"},
        sound="/audio/generate",
        video={"seconds": "seconds", "fps": "fps", **_DIFFUSION},
    ),
    "sglang": Dialect(
        text=TEXT_PARAMETERS, image=_DIFFUSION, image_seed=True, video_multipart=False, video={"seconds": "seconds"}
    ),
    "litellm": Dialect(video_multipart=False),
    "llama.cpp": Dialect(text=TEXT_PARAMETERS, rename={"repetition_penalty": "repeat_penalty"}),
}
