"""Make the shipped weights from the published NSFWJS model "MobileNetV2Mid": the same graph and 8-bit weights, as ONNX.

Usage: python -m gensafe.safety.nudity.build nsfwjs-4.3.0.tgz    (from ``npm pack nsfwjs@4.3.0``)
Needs the ``onnx`` package. Nothing of the package is executed: its files are JavaScript around JSON and base64, which
are cut out and read. The weights stay 8-bit in the file and are widened by ONNX Runtime.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

TARBALL: Final = "4496790efc9bdc6f3e85a826a8e482c1fa1e9db4b3d18c095e98cc0c73cfb12f"
FOLDER: Final = "package/dist/models/mobilenet_v2_mid/"
SHARDS: Final = 2  # files of weights in nsfwjs 4.3.0, by their names ("group1-shard1of2")
SIDE: Final = 224  # pixels: the model's input in nsfwjs 4.3.0
_BARE_KEY: Final = re.compile(r"([{,])([A-Za-z_$][\w$]*):")  # the minifier took the quotes from the keys
_BARE_NUMBER: Final = re.compile(r"(?<=[:\[,])(-?)\.(\d)")  # and the noughts before the points
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')

Weight = tuple[NDArray[np.uint8], float, float]  # codes, scale, least value: value = code * scale + least


def read_package(path: Path) -> tuple[dict[str, Any], bytes]:
    """The model's description and its weights.

    Raises:
        SystemExit: not the pinned tarball.
    """
    if hashlib.sha256(path.read_bytes()).hexdigest() != TARBALL:
        raise SystemExit(f"{path} is not nsfwjs 4.3.0 as published")
    with tarfile.open(path) as tar:

        def text(name: str) -> str:
            member = tar.extractfile(FOLDER + name)
            if member is None:
                raise SystemExit(f"{name} is missing")
            return member.read().decode("utf-8")

        model = _object(text("model.min.js"))
        shards = (text(f"group1-shard{i}of{SHARDS}.min.js") for i in range(1, SHARDS + 1))
        raw = b"".join(base64.b64decode(max(_STRING.findall(shard), key=len)[1:-1]) for shard in shards)
    return model, raw


def _object(script: str) -> dict[str, Any]:
    """The object literal that a minified module exports, as JSON."""
    start = script.index(".exports={", script.index("modelTopology") - 400) + len(".exports=")
    parts: list[str] = []
    at = start
    for match in (*_STRING.finditer(script, start), None):  # strings stay as they are
        code = script[at : match.start()] if match else script[at:]
        code = code.replace("!0", "true").replace("!1", "false")
        parts.append(_BARE_NUMBER.sub(r"\g<1>0.\2", _BARE_KEY.sub(r'\1"\2":', code)))
        if match:
            parts.append(match.group())
            at = match.end()
    found, _ = json.JSONDecoder().raw_decode("".join(parts))
    return dict(found)


def read_weights(model: Mapping[str, Any], raw: bytes) -> dict[str, Weight]:
    """Name -> codes, scale and least value.

    Raises:
        SystemExit: the weights do not fit their list.
    """
    found: dict[str, Weight] = {}
    at = 0
    for entry in (w for group in model["weightsManifest"] for w in group["weights"]):
        count, code = int(np.prod(entry["shape"])), entry["quantization"]
        values = np.frombuffer(raw, np.uint8, count, at).reshape(entry["shape"])
        found[entry["name"]] = values, float(code["scale"]), float(code["min"])
        at += count
    if at != len(raw):
        raise SystemExit("the weights do not fit their list")
    return found


@dataclass(slots=True)
class _Graph:
    """An ONNX graph in the making; one method for each TensorFlow operation of the model."""

    weights: Mapping[str, Weight]
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def add(self, operation: str, inputs: list[str], output: str, **attributes: Any) -> str:  # noqa: ANN401 - as onnx takes them
        from onnx import helper

        self.nodes.append(helper.make_node(operation, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def wide(self, name: str, order: tuple[int, ...] = ()) -> str:
        """The weight ``name`` as float32, its axes in ``order``."""
        codes, scale, least = self.weights[name]
        codes = codes.transpose(order) if order else codes
        zero = -least / scale
        if codes.ndim == 0 or not (abs(zero - round(zero)) < 1e-6 and 0 <= round(zero) <= 255):
            return self.constant(
                name, np.asarray(codes * np.float64(scale) + least, np.float32, order="C")
            )  # no whole zero point
        self.constant(name, np.ascontiguousarray(codes))
        self.constant(name + "/scale", np.asarray(scale, np.float32))
        self.constant(name + "/zero", np.asarray(round(zero), np.uint8))
        return self.add("DequantizeLinear", [name, name + "/scale", name + "/zero"], name + "/wide")

    def convert(self, node: Mapping[str, Any]) -> None:
        """Add what one TensorFlow node does. Pictures are (n, channels, rows, columns) here.

        Raises:
            SystemExit: an operation or a setting that this model was not seen to have.
        """
        name, inputs, operation = node["name"], list(node.get("input", ())), node["op"]
        attributes = node.get("attr", {})
        match operation:
            case "Placeholder":
                return
            case "Mul" | "Sub":
                self.add(operation, [self.wide(i) if i in self.weights else i for i in inputs], name)
            case "AddV2":
                self.add("Add", inputs, name)
            case "_FusedConv2D" | "FusedDepthwiseConv2dNative":
                self._convolution(name, inputs, attributes, deep=operation.startswith("FusedDepth"))
            case "AvgPool":
                self.add("AveragePool", inputs, name, kernel_shape=_integers(attributes["ksize"])[1:3])
            case "Squeeze":
                self.add("Squeeze", [*inputs, self.constant(name + "/axes", np.array([2, 3], np.int64))], name)
            case "_FusedMatMul":
                self.add("MatMul", [inputs[0], self.wide(inputs[1])], name + "/product")
                self.add("Add", [name + "/product", self.wide(inputs[2])], name)
            case "Softmax":
                self.add("Softmax", inputs, name, axis=1)
            case "Identity":
                self.add("Identity", inputs, "scores")
            case _:
                raise SystemExit(f"{name}: operation {operation} is not known")

    def _convolution(self, name: str, inputs: list[str], attributes: Mapping[str, Any], *, deep: bool) -> None:
        after = [base64.b64decode(s).decode() for s in attributes["fused_ops"]["list"]["s"]]
        padding = base64.b64decode(attributes["padding"]["s"]).decode()
        if padding != "SAME" or after not in (["BiasAdd"], ["BiasAdd", "Relu6"]):
            raise SystemExit(f"{name}: {padding} padding, then {after}, is not known")
        kernel = self.wide(inputs[1], (2, 3, 0, 1) if deep else (3, 2, 0, 1))
        settings: dict[str, Any] = {"strides": _integers(attributes["strides"])[1:3], "auto_pad": "SAME_UPPER"}
        if deep:
            settings["group"] = self.weights[inputs[1]][0].shape[2]
        last = len(after) == 1
        self.add("Conv", [inputs[0], kernel, self.wide(inputs[2])], name if last else name + "/sum", **settings)
        if not last:
            self.add("Clip", [name + "/sum", "nought", "six"], name)


def _integers(attribute: Mapping[str, Any]) -> list[int]:
    return [int(i) for i in attribute["list"]["i"]]


def build(package: Path, target: Path) -> str:
    """Write the ONNX file; returns its SHA-256."""
    import onnx
    from onnx import TensorProto, helper

    model, raw = read_package(package)
    graph = _Graph(read_weights(model, raw))
    graph.constant("nought", np.asarray(0, np.float32))
    graph.constant("six", np.asarray(6, np.float32))
    for node in model["modelTopology"]["node"]:
        if node["op"] != "Const":
            graph.convert(node)
    shown = helper.make_graph(
        graph.nodes,
        "nsfwjs_mobilenet_v2_mid",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 5])],
        graph.constants,
    )
    made = helper.make_model(shown, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    onnx.save(made, str(target))
    return hashlib.sha256(target.read_bytes()).hexdigest()


def main() -> int:
    """Write the file beside this module."""
    target = Path(__file__).parent / "weights" / "nudity.onnx"
    print(f"{build(Path(sys.argv[1]), target)}  {target.name}  {target.stat().st_size}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
