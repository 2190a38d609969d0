"""Train the symbol detector and write gensafe/safety/symbols/weights/symbols.onnx.

Usage: python -m training.symbols.train [--minutes M] [--out FILE]     (needs the torch extra and ``onnx``)

1. Windows of 48 x 48 grey pixels are drawn by ``render``; a network of five convolutions learns to tell them apart.
2. Four times it is run over made-up scenes without symbols; what it takes for one joins the negatives.
   Training ends by the clock, so two runs differ; the thresholds in the engine belong to the weights that are shipped.
3. The network is written as a fully convolutional ONNX graph with 16-bit weights.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.media_safety import drawings

TARGET = Path(__file__).resolve().parents[2] / "gensafe" / "safety" / "symbols" / "weights" / "symbols.onnx"
WIDTHS = (16, 32, 48, 64)
CLASSES = 1 + len(drawings.SYMBOLS)


def network() -> nn.Sequential:
    """48 x 48 -> 1 x 1 x CLASSES; on larger pictures one vector every eight pixels, each as if for its window alone."""
    a, b, c, d = WIDTHS
    return nn.Sequential(
        nn.Conv2d(1, a, 3), nn.BatchNorm2d(a), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(a, b, 3), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(b, c, 3), nn.BatchNorm2d(c), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(c, d, 4), nn.BatchNorm2d(d), nn.ReLU(), nn.Conv2d(d, CLASSES, 1),
    )  # fmt: skip


def prepared(windows: np.ndarray) -> torch.Tensor:
    """uint8 (n, h, w) to float (n, 1, h, w) about -1..1."""
    return torch.from_numpy(windows.astype(np.float32) / 127.5 - 1)[:, None]


def drawn(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """``count`` fresh windows with their classes."""
    pairs = [drawings.window(rng) for _ in range(count)]
    return np.stack([w for w, _ in pairs]), np.array([c for _, c in pairs])


def mined(model: nn.Module, scenes: int, rng: np.random.Generator) -> np.ndarray:
    """Windows of symbol-free scenes that the network takes for a symbol."""
    found = []
    model.eval()
    with torch.no_grad():
        for _ in range(scenes):
            picture = drawings.scene(192, rng)
            wrong = 1 - torch.softmax(model(prepared(picture[None])), dim=1)[0, 0]
            for row, column in np.argwhere(wrong.numpy() > 0.2)[:12]:
                found.append(picture[8 * row : 8 * row + drawings.SIDE, 8 * column : 8 * column + drawings.SIDE])
    model.train()
    return np.stack(found) if found else np.empty((0, drawings.SIDE, drawings.SIDE), np.uint8)


def train(minutes: float, seed: int = 0) -> tuple[nn.Sequential, dict[str, Any]]:
    """Train for ``minutes``; returns the network and what happened."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    begin = time.monotonic()
    pixels, classes = drawn(6000, rng)
    model = network()
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=1e-3)
    step, mines, losses = 0, 0, []
    while (share := (time.monotonic() - begin) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * 0.5 * (1 + np.cos(np.pi * share)) + 1e-5
        if step % 4 == 0:  # the pool is renewed as it is used
            fresh, labels = drawn(96, rng)
            at = rng.choice(6000, 96, replace=False)
            pixels[at], classes[at] = fresh, labels
        if mines < 4 and share > (0.3, 0.45, 0.6, 0.75)[mines]:
            mines += 1
            hard = rng.permutation(mined(model, 250, rng))[:1500]
            print(f"step {step}: {len(hard)} hard negatives", flush=True)
            pixels, classes = np.concatenate([pixels, hard]), np.concatenate([classes, np.zeros(len(hard), int)])
        chosen = rng.choice(len(pixels), 128, replace=False)
        batch = pixels[chosen]
        if rng.random() < 0.5:  # the runes and wheels too have mirror images that mean the same here
            batch = batch[:, :, ::-1]
        logits = model(prepared(np.ascontiguousarray(batch))).flatten(1)
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(classes[chosen]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        step += 1
        if step % 200 == 0:
            print(f"step {step}  {share:.0%}  loss {np.mean(losses[-200:]):.4f}", flush=True)
    return model.eval(), {"steps": step, "loss": round(float(np.mean(losses[-200:])), 4), "windows": len(pixels)}


def write(model: nn.Sequential, target: Path) -> str:
    """Write the ONNX file; returns its SHA-256."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, at = [], [], "pixels"
    for index, layer in enumerate(model):
        out = f"t{index}"
        if isinstance(layer, nn.BatchNorm2d):
            continue  # folded into the convolution before it
        if isinstance(layer, nn.Conv2d):
            inputs = [at]
            after = model[index + 1] if index + 1 < len(model) else None
            for name, value in zip("wb", _folded(layer, after), strict=True):
                constants.append(numpy_helper.from_array(value.astype(np.float16), f"{name}{index}"))
                nodes.append(helper.make_node("Cast", [f"{name}{index}"], [f"{name}{index}f"], to=TensorProto.FLOAT))
                inputs.append(f"{name}{index}f")
            nodes.append(helper.make_node("Conv", inputs, [out]))
        elif isinstance(layer, nn.MaxPool2d):
            nodes.append(helper.make_node("MaxPool", [at], [out], kernel_shape=[2, 2], strides=[2, 2]))
        else:
            nodes.append(helper.make_node("Relu", [at], [out]))
        at = out
    nodes.append(helper.make_node("Softmax", [at], ["classes"], axis=1))
    graph = helper.make_graph(
        nodes,
        "symbols",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 1, "height", "width"])],
        [helper.make_tensor_value_info("classes", TensorProto.FLOAT, ["n", CLASSES, "rows", "columns"])],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    target.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(made, str(target))
    return hashlib.sha256(target.read_bytes()).hexdigest()


def _folded(convolution: nn.Conv2d, after: nn.Module | None) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias of a convolution, with the normalisation that follows it multiplied in."""
    assert convolution.bias is not None
    weight, bias = convolution.weight.detach(), convolution.bias.detach()
    if isinstance(after, nn.BatchNorm2d):
        assert after.running_mean is not None
        assert after.running_var is not None
        gain = after.weight.detach() / torch.sqrt(after.running_var + after.eps)
        weight, bias = weight * gain[:, None, None, None], (bias - after.running_mean) * gain + after.bias.detach()
    return weight.numpy(), bias.numpy()


def main() -> int:
    """Train, write, print the digest."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--out", type=Path, default=TARGET)
    args = parser.parse_args()
    model, about = train(args.minutes)
    digest = write(model, args.out)
    print(f"{digest}  {args.out.name}  {args.out.stat().st_size}  {about}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
