"""A causal language model as a judge: the probability of each of a few answers to a prompt."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gensafe_backends.guards.families import Question

Messages = Sequence[Mapping[str, str]]


class Judge:
    """A guard model and its tokenizer from a local folder: safetensors only, no code from the folder is run.

    Args:
        folder: As saved by transformers: config.json, tokenizer with a chat template, *.safetensors.
        device: "cpu", "cuda", ...
        dtype: "float32", "bfloat16", ...

    Raises:
        OSError, ValueError: the folder does not hold such a model, or its tokenizer has no chat template.
    """

    def __init__(self, folder: Path, device: str, dtype: str) -> None:
        import transformers

        local = {"local_files_only": True, "trust_remote_code": False}
        config = transformers.AutoConfig.from_pretrained(folder, **local)
        self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder, **local)
        if not getattr(self.tokenizer, "chat_template", None):
            raise ValueError("the tokenizer has no chat template")
        several = any("ConditionalGeneration" in name for name in config.architectures or ())  # Llama Guard 4
        kind = transformers.AutoModelForImageTextToText if several else transformers.AutoModelForCausalLM
        model: Any = kind.from_pretrained(folder, use_safetensors=True, dtype=dtype, **local)
        self._model = model.to(device).eval().requires_grad_(False)
        self._device = device

    def score(self, messages: Messages, question: Question) -> dict[str, float]:
        """Category -> probability of harm, from one prompt.

        With codes, the likeliest category has the probability of harm and the others less, in proportion.
        """
        text = self.tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=True, **question.template
        )
        prompt = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        answers = [*question.harmful, *question.harmless]
        chances = dict(zip(answers, softmax(self.log_likelihoods(prompt, answers)), strict=True))
        harm = min(1.0, sum(weight * chances[a] for a, weight in question.harmful.items()))
        if not question.codes:
            return {question.category: harm}
        lead = [*prompt, *self._ids(question.lead)]
        likely = softmax(self.log_likelihoods(lead, list(question.codes)))
        found: dict[str, float] = {}
        for category, chance in zip(question.codes.values(), likely, strict=True):
            found[category] = max(found.get(category, 0.0), harm * chance / max(likely))
        return found

    def log_likelihoods(self, prompt: Sequence[int], answers: Sequence[str]) -> list[float]:
        """Natural logarithm of the probability that the model goes on with each answer, all its tokens counted."""
        import torch

        head = self._model(input_ids=torch.tensor([list(prompt)], device=self._device), use_cache=True)
        first = head.logits[0, -1].float().log_softmax(-1)
        found = []
        for answer in answers:
            ids = self._ids(answer)
            total = float(first[ids[0]])
            if len(ids) > 1:
                more = self._model(
                    input_ids=torch.tensor([ids[:-1]], device=self._device),
                    past_key_values=copy.deepcopy(head.past_key_values),
                )
                rest = more.logits[0].float().log_softmax(-1)
                total += sum(float(rest[i, token]) for i, token in enumerate(ids[1:]))
            found.append(total)
        return found

    def _ids(self, text: str) -> list[int]:
        ids = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        if not ids:
            raise ValueError(f"the tokenizer has no token for {text!r}")
        return ids


def softmax(values: Sequence[float]) -> list[float]:
    """Probabilities from log-likelihoods."""
    top = max(values)
    weights = [math.exp(v - top) for v in values]
    return [w / sum(weights) for w in weights]
