"""Qwen3Guard-Stream: a Qwen3 body with heads that judge every token (Qwen3Guard technical report, section 4).

The published folder brings its own Python code; none of it is run here. The body is transformers' Qwen3Model, the heads
are eight matrices read from the same safetensors files:

    hidden -> <side>risk_level_category_pre -> RMS norm -> <side>risk_level_head and <side>category_head

where <side> is "query_" for what a user says and empty for what an assistant says. A level counts when the token before
gave it as well: the report's debounce.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gensafe_backends.guards.families import CONTROVERSIAL, QWEN3_GUARD, UNKNOWN


@dataclass(frozen=True, slots=True)
class TokenRisk:
    """What the heads say after one token: probability of harm in 0..1 and GenSafe's category."""

    harm: float
    category: str


class StreamHead:
    """The model and its tokenizer from a local folder.

    Args:
        folder: As published: config.json, tokenizer, *.safetensors.
        device: "cpu", "cuda", ...
        dtype: "float32", "bfloat16", ...

    Raises:
        OSError, ValueError, KeyError, RuntimeError: the folder does not hold such a model.
    """

    def __init__(self, folder: Path, device: str, dtype: str) -> None:
        import json

        import torch
        import transformers
        from safetensors.torch import load_file

        raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        config = transformers.Qwen3Config.from_dict({k: v for k, v in raw.items() if k not in ("auto_map", "dtype")})
        tensors: dict[str, Any] = {}
        for path in sorted(folder.glob("*.safetensors")):
            tensors.update(load_file(path))
        kind = getattr(torch, dtype)
        body: Any = transformers.Qwen3Model(config)
        body.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
        self._body = body.to(device=device, dtype=kind).eval().requires_grad_(False)
        self._heads = {
            k: v.to(device=device, dtype=torch.float32) for k, v in tensors.items() if k not in body_keys(tensors)
        }
        self._maps = {
            side: (_levels(raw[f"{name}_risk_level_map"]), _names(raw[f"{name}_category_map"]))
            for side, name in (("query_", "query"), ("", "response"))
        }
        self._epsilon, self._device = float(raw.get("rms_norm_eps", 1e-6)), device
        for side in self._maps:
            self._require(side, int(raw["hidden_size"]))

    def _require(self, side: str, width: int) -> None:
        inner = self._heads[f"{side}risk_level_category_pre.weight"].shape
        levels, names = self._maps[side]
        shapes = {
            "risk_level_category_pre": (inner[0], width),
            "risk_level_category_layernorm": (inner[0],),
            "risk_level_head": (len(levels), inner[0]),
            "category_head": (len(names), inner[0]),
        }
        for name, shape in shapes.items():
            if tuple(self._heads[f"{side}{name}.weight"].shape) != shape:
                raise ValueError(f"{side}{name} does not have the shape {shape}")

    def tokens(self, ids: Sequence[int], user: bool) -> list[TokenRisk]:
        """What the heads say after each token of ``ids``; what comes later changes nothing (the body is causal)."""
        import torch

        side = "query_" if user else ""
        levels, names = self._maps[side]
        hidden = self._body(input_ids=torch.tensor([list(ids)], device=self._device)).last_hidden_state[0].float()
        x = hidden @ self._heads[f"{side}risk_level_category_pre.weight"].T
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self._epsilon)
        x = x * self._heads[f"{side}risk_level_category_layernorm.weight"]
        risk = (x @ self._heads[f"{side}risk_level_head.weight"].T).softmax(-1)
        kind = (x @ self._heads[f"{side}category_head.weight"].T).argmax(-1).tolist()
        harm = (risk @ torch.tensor(levels, dtype=risk.dtype, device=risk.device)).tolist()
        return [TokenRisk(min(1.0, h), names[k]) for h, k in zip(harm, kind, strict=True)]

    def ids(self, messages: Sequence[Mapping[str, str]]) -> tuple[list[int], list[tuple[int, int]], str]:
        """(token ids, [start, end) of each in the text, the text) of a conversation in the model's own form."""
        text = str(self.tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=False))
        found = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return list(found["input_ids"]), [tuple(o) for o in found["offset_mapping"]], text


def debounced(risks: Sequence[TokenRisk]) -> list[float]:
    """Per token the harm that it and the one before agree on."""
    values = [r.harm for r in risks]
    return [min(pair) for pair in zip([0.0, *values[:-1]], values, strict=True)]


def body_keys(tensors: Mapping[str, Any]) -> set[str]:
    """Names of the body's tensors."""
    return {k for k in tensors if k.startswith("model.")}


def _levels(table: Mapping[str, str]) -> list[float]:
    """What each risk level counts, in index order.

    Raises:
        ValueError: an unknown level.
    """
    worth = {"safe": 0.0, "controversial": CONTROVERSIAL, "unsafe": 1.0}
    try:
        return [worth[table[str(i)].lower()] for i in range(len(table))]
    except KeyError as error:
        raise ValueError(f"unknown risk level {error}") from error


def _names(table: Mapping[str, str]) -> list[str]:
    return [QWEN3_GUARD.get(table[str(i)], UNKNOWN) for i in range(len(table))]
