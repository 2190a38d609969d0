"""Where a picture shows a human face: a small detector (MIT), run by ONNX Runtime. It finds faces, it knows none."""

from gensafe.safety.faces.engine import Face, FaceEngine, shared_engine, weights_digest

__all__ = ["Face", "FaceEngine", "shared_engine", "weights_digest"]
