"""Any causal language model, VITS voices and MusicGen, from a local folder as ``transformers`` saves it.

Options: ``path`` (the folder), ``name`` (of the model; default: the folder's), ``device``, ``dtype``, ``context``
(tokens of prompt and answer together), ``max_tokens`` (of answers that name no bound). Needs the extra
``transformers``.

Text is written by a token loop of our own, not by ``generate``: the seed is exact, cancelling is heard before every
token, and the sampling mark is asked exactly once for each token (``transformers`` drops logits processors without a
word in some models). Nothing is downloaded, only safetensors are read, code in the folder is never run.

Files: ``source`` (the folder and the options), ``plugin`` (which kind it holds), ``text`` (the loop), ``tokens``
(tokenizer and chat), ``sound`` (what sounds share), ``speech``, ``music``.
"""

from gensafe_backends.transformers_any.plugin import create

__all__ = ["create"]
