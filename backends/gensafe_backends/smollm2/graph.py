"""The model as an ONNX graph on ONNX Runtime's own operators: 4-bit matrix products and grouped-query attention.

Q4_1 is w = d·q + m, and ``MatMulNBits`` computes x·(d·(q - 8)). The rest is m + 8d, the same for the 32 values of a
block, so x·w = MatMulNBits(x, q, d) + blocksum(x)·(m + 8d): exact, and faster than float zero points (1.5 ms against
73 µs for 1536 x 576). ``accuracy_level`` 0 computes in float32, 4 quantises activations to int8, as llama.cpp does.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from gensafe_backends.smollm2.reference import rotary_table
from gensafe_backends.smollm2.weights import Model, Packed, open_weights

EXACT: Final = 0  # ``accuracy_level`` of MatMulNBits, see above
FAST: Final = 4  # ``accuracy_level`` of MatMulNBits, see above
_MS: Final = "com.microsoft"
_BLOCK: Final = 32  # values that share a scale, in GGUF and in MatMulNBits


def write_graph(model: Model, path: Path, *, accuracy: int, context: int) -> None:
    """Write the graph with its weights to ``path``.

    Inputs: ``embeddings`` float32 (1, n, hidden); ``last_position`` int32 (1,); ``total`` int32 (); ``k0``, ``v0``, ...
    float32 (1, kv heads, capacity, head). Outputs: ``logits`` float32 (1, 1, vocabulary) of the last position; the
    keys and values, which may be the same buffers as the inputs.

    Args:
        model: The weights.
        path: File to write.
        accuracy: ``EXACT`` or ``FAST``.
        context: Greatest number of positions.
    """
    _Builder(model, accuracy).write(path, context)


class _Builder:
    def __init__(self, model: Model, accuracy: int) -> None:
        self._model, self._accuracy = model, accuracy
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._known: set[str] = set()
        self._sums: dict[str, str] = {}  # block sums of an activation, shared by the products that read it

    def write(self, path: Path, context: int) -> None:
        shape = self._model.shape
        cos, sin = rotary_table(np.arange(context), shape.head, shape.rope_base)
        self._weight("cos", cos)
        self._weight("sin", sin)
        x = "embeddings"
        inputs = [
            helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, "n", shape.hidden]),
            helper.make_tensor_value_info("last_position", TensorProto.INT32, [1]),
            helper.make_tensor_value_info("total", TensorProto.INT32, []),
        ]
        outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 1, shape.vocabulary])]
        for number in range(shape.layers):
            for name in (f"k{number}", f"v{number}"):
                kept: list[int | str] = [1, shape.kv_heads, "capacity", shape.head]
                inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, kept))
                outputs.append(helper.make_tensor_value_info(f"new_{name}", TensorProto.FLOAT, kept))
            x = self._layer(x, number)
        last = self._node("Gather", [x, self._weight("minus_one", np.array([-1]))], "last", axis=1)
        normed = self._norm(last, self._model.output_norm(), "output_norm")
        head = self._model.embedding()
        self._product(normed, head.quanta.reshape(len(head.quanta), -1, _BLOCK), head.scale, "logits", bits=8)
        graph = helper.make_graph(self._nodes, "smollm2", inputs, outputs, self._weights)
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid(_MS, 1)]
        proto = helper.make_model(graph, opset_imports=opsets)
        proto.ir_version = 9  # of opset 18
        onnx.save_model(proto, str(path))

    def _layer(self, x: str, number: int) -> str:
        shape, layer, at = self._model.shape, self._model.layer(number), f"l{number}_"
        a = self._norm(x, layer.attention_norm, at + "a")
        q, k, v = (self._matrix(a, w, at + n) for w, n in ((layer.q, "q"), (layer.k, "k"), (layer.v, "v")))
        self._nodes.append(
            helper.make_node(
                "GroupQueryAttention",
                [q, k, v, f"k{number}", f"v{number}", "last_position", "total", "cos", "sin"],
                [at + "attention", f"new_k{number}", f"new_v{number}"],
                domain=_MS,
                num_heads=shape.heads,
                kv_num_heads=shape.kv_heads,
                do_rotary=1,
                rotary_interleaved=1,
            )
        )
        x = self._node("Add", [x, self._matrix(at + "attention", layer.o, at + "o")], at + "x1")
        f = self._norm(x, layer.feed_forward_norm, at + "f")
        gate = self._matrix(f, layer.gate, at + "gate")
        silu = self._node("Mul", [gate, self._node("Sigmoid", [gate], at + "sigmoid")], at + "silu")
        inner = self._node("Mul", [silu, self._matrix(f, layer.up, at + "up")], at + "inner")
        return self._node("Add", [x, self._matrix(inner, layer.down, at + "down")], at + "x2")

    def _matrix(self, x: str, w: Packed, name: str) -> str:
        product = self._product(x, w.quanta, w.scale, name + "_scaled", bits=4)
        if x not in self._sums:
            blocks = w.quanta.shape[1]
            split = self._weight(f"split{blocks}", np.array([0, -1, blocks, _BLOCK]))
            parts = self._node("Reshape", [x, split], x + "_blocks")
            axis = self._weight("last_axis", np.array([3]))
            self._sums[x] = self._node("ReduceSum", [parts, axis], x + "_sums", keepdims=0)
        offset = self._weight(name + "_offset", np.ascontiguousarray((w.minimum + 8 * w.scale).T))
        rest = self._node("MatMul", [self._sums[x], offset], name + "_rest")
        return self._node("Add", [product, rest], name)

    def _product(self, x: str, quanta: NDArray[np.uint8], scale: NDArray[np.float32], name: str, *, bits: int) -> str:
        rows, blocks = quanta.shape[:2]
        packed = quanta if bits == 8 else quanta[..., 0::2] | (quanta[..., 1::2] << 4)
        weights = [self._weight(name + "_q", packed), self._weight(name + "_d", scale)]
        settings = {"K": blocks * _BLOCK, "N": rows, "bits": bits, "block_size": _BLOCK}
        return self._node("MatMulNBits", [x, *weights], name, domain=_MS, accuracy_level=self._accuracy, **settings)

    def _norm(self, x: str, scale: NDArray[np.float32], name: str) -> str:
        epsilon = self._model.shape.epsilon
        inputs = [x, self._weight(name + "_scale", scale)]
        return self._node("SimplifiedLayerNormalization", inputs, name, axis=-1, epsilon=epsilon)

    def _weight(self, name: str, values: NDArray[Any]) -> str:
        if name not in self._known:
            self._known.add(name)
            self._weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:  # noqa: ANN401 - ONNX
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output


def main() -> None:
    """Write the graph of one file of weights; ``engine`` runs this in a process of its own, for its memory's sake."""
    parser = argparse.ArgumentParser(description="write a GGUF file's model as an ONNX graph")
    parser.add_argument("weights", type=Path)
    parser.add_argument("graph", type=Path)
    parser.add_argument("--accuracy", type=int, default=FAST)
    parser.add_argument("--context", type=int, default=2048)
    args = parser.parse_args()
    _, model, _ = open_weights(args.weights, pinned=None)
    write_graph(model, args.graph, accuracy=args.accuracy, context=args.context)


if __name__ == "__main__":
    main()
