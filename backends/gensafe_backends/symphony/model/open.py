"""Choose and open an engine by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from gensafe.core.errors import BackendUnavailable, ConfigError
from gensafe_backends.symphony.model.numpy_engine import NumpyEngine

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gensafe_backends.symphony.config import SymphonyConfig
    from gensafe_backends.symphony.model.engine import Engine

ENGINES: Final = ("auto", "native", "numpy", "torch", "mlx")


def open_engine(
    name: str,
    config: SymphonyConfig,
    tensors: Mapping[str, NDArray[np.float32]],
    *,
    device: str = "cpu",
    sparse: bool = True,
    bits: int = 0,
) -> Engine:
    """Make the engine ``name``.

    Args:
        name: One of ``ENGINES``; ``auto`` is the compiled engine where it can be built, else numpy.
        config: The model's sizes.
        tensors: Its weights.
        device: For torch: ``cpu`` or ``cuda``. For mlx: ``metal`` asks for our own kernel, used where it agrees.
        sparse: For native and numpy: skip what nobody uses (same bits either way).
        bits: For mlx: 8 or 4 for quantised weights, 0 for float32.

    Raises:
        ConfigError: no such engine.
        BackendUnavailable: it cannot run here.
    """
    if name not in ENGINES:
        raise ConfigError(f"no engine named {name!r}", field="engine", fix="one of " + ", ".join(ENGINES))
    if bits and (name != "mlx" or bits not in (4, 8)):
        raise ConfigError("8 or 4, with engine=mlx", field="bits", fix="leave it unset: the other engines are exact")
    if name in ("auto", "native"):
        from gensafe_backends.symphony.model.native.engine import NativeEngine

        try:
            return NativeEngine(config, tensors, sparse=sparse)
        except BackendUnavailable:
            if name == "native":
                raise
    if name == "torch":
        from gensafe_backends.symphony.model.torch_engine import TorchEngine

        return TorchEngine(config, tensors, device=device)
    if name == "mlx":
        from gensafe_backends.symphony.model.mlx_engine import MlxEngine

        return MlxEngine(config, tensors, bits=bits, kernel=device == "metal")
    return NumpyEngine(config, tensors, sparse=sparse)
