"""Detection of SynthID-Text marks (Dathathri et al., Nature 2024) that another deployment made with ``transformers``.

The g-values come from the ``transformers`` package, which must be installed; the test is ours. Given a text, the
g-values of an unrelated key are fair coins, so their weighted sum is a normalised Rademacher sum, whose tail is at most
3.18 times the Gaussian one (Pinelis 1994), whatever the text: no calibrated or trained detector is involved. Contexts
that occurred before are left out, as the writer leaves them unmarked. The public hash of that scheme makes no claim of
cryptographic strength, and "fair coins" is as good as that hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from gensafe.core.errors import ConfigError, InvalidRequest
from gensafe.core.types import Detection, MarkLevel
from gensafe_watermark import statistics

LEAST_TOKENS: Final = 200  # scored tokens under which no answer is given but "present"
_RADEMACHER: Final = 3.18  # constant of Pinelis' bound, see above
_WEIGHTS: Final = (10.0, 1.0)  # of the first and last tournament layer, linear between, as the paper's weighted mean


def detect_synthid(
    token_ids: Sequence[int],
    keys: Sequence[int],
    *,
    ngram_len: int = 5,
    context_history_size: int = 1024,
    sampling_table_size: int = 2**16,
    sampling_table_seed: int = 0,
) -> Detection:
    """Test whether a text carries a SynthID-Text mark under ``keys``.

    Args:
        token_ids: The text in the writer's tokenizer.
        keys: The writer's ``SynthIDTextWatermarkingConfig.keys``, one per tournament layer.
        ngram_len: As the writer's config, and so for the rest.
        context_history_size: Contexts remembered.
        sampling_table_size: Entries of the table of coins.
        sampling_table_seed: Its seed.

    Returns:
        PRESENT at p <= 1e-6, else UNDECIDABLE under 200 scored tokens, else NONE. The writer's entropy is not known
        here, so NONE is weaker than for our own mark.

    Raises:
        ConfigError: ``transformers`` is not installed.
        InvalidRequest: no keys, or ``ngram_len`` under 2.
    """
    if not keys or ngram_len < 2:
        raise InvalidRequest("SynthID-Text needs keys and an n-gram length of at least 2", field="keys")
    try:
        import torch
        from transformers import SynthIDTextWatermarkLogitsProcessor
    except ImportError as error:
        raise ConfigError("SynthID-Text needs transformers and torch", fix="pip install transformers torch") from error
    scheme = f"synthid-text-m{len(keys)}-n{ngram_len}"
    count = 0
    p = 1.0
    if len(token_ids) >= ngram_len:
        processor = SynthIDTextWatermarkLogitsProcessor(
            ngram_len=ngram_len,
            keys=list(keys),
            sampling_table_size=sampling_table_size,
            sampling_table_seed=sampling_table_seed,
            context_history_size=context_history_size,
            device=torch.device("cpu"),
        )
        ids: Any = torch.tensor([list(token_ids)])
        coins = processor.compute_g_values(ids)[0].numpy().astype(np.float64)
        fresh = processor.compute_context_repetition_mask(ids)[0].numpy().astype(bool)
        weights = np.linspace(*_WEIGHTS, len(keys))
        coins = 2 * coins[fresh] - 1
        count = len(coins)
        if count:
            z = float((coins * weights).sum() / np.sqrt(count * (weights**2).sum()))
            p = min(1.0, _RADEMACHER * statistics.presence_p(z, 1))
    detail: dict[str, str | float | int] = {"tokens": len(token_ids), "scored": count}
    if p <= statistics.PRESENCE_P:
        return Detection(MarkLevel.PRESENT, None, p, scheme, detail=detail)
    if count < LEAST_TOKENS:
        detail["reason"] = "too short for the mark to show at p <= 1e-6"
        return Detection(MarkLevel.UNDECIDABLE, None, p, scheme, detail=detail)
    return Detection(MarkLevel.NONE, None, p, scheme, detail=detail)
