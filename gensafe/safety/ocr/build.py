"""Make the shipped weights from the published PP-OCRv4 models: the same networks, weights stored in 16 bits.

Usage: python -m gensafe.safety.ocr.build FOLDER    (with ch_PP-OCRv4_det_infer.onnx and ch_PP-OCRv4_rec_infer.onnx)
Needs the ``onnx`` package. ONNX Runtime widens the weights once when a session is made, so speed is unchanged.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any, Final

SOURCES: Final = {"detect": "ch_PP-OCRv4_det_infer.onnx", "read": "ch_PP-OCRv4_rec_infer.onnx"}
# smaller tensors (biases, scales) stay in 32 bits: they save no space. Chosen by eye, not measured
_MIN_VALUES: Final = 256


def halve(source: Path, target: Path) -> str:
    """Write ``source`` with its large float32 constants as float16 and a cast; returns the SHA-256 of the file."""
    import onnx  # type: ignore[import-not-found,unused-ignore]
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(source))
    graph = model.graph
    casts = []
    constants = [n for n in graph.node if n.op_type == "Constant" and n.attribute[0].name == "value"]
    tensors: list[tuple[str, Any, Any]] = [(t.name, t, None) for t in graph.initializer]
    tensors += [(n.output[0], n.attribute[0].t, n) for n in constants]
    for name, tensor, node in tensors:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < _MIN_VALUES:
            continue
        half = numpy_helper.from_array(values.astype("float16"), name + "_half")
        graph.initializer.append(half)
        casts.append(helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT, name=name + "_cast"))
        if node is None:
            graph.initializer.remove(tensor)
        else:
            graph.node.remove(node)
    for cast in reversed(casts):
        graph.node.insert(0, cast)
    kept = [i for i in graph.input if i.name not in {name for name, _, _ in tensors}]
    del graph.input[:]
    graph.input.extend(kept)
    onnx.checker.check_model(model)
    onnx.save(model, str(target))
    return hashlib.sha256(target.read_bytes()).hexdigest()


def main() -> int:
    """Convert both models into the folder beside this file."""
    folder = Path(sys.argv[1])
    for name, source in SOURCES.items():
        target = Path(__file__).parent / "weights" / f"{name}.onnx"
        print(f"{halve(folder / source, target)}  {target.name}  {target.stat().st_size}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
