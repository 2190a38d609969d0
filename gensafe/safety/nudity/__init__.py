"""Does a picture show nudity or sexual acts? A small network (MIT), run by ONNX Runtime. It sees no ages."""

from gensafe.safety.nudity.engine import CLASSES, NudityEngine, shared_engine, weights_digest

__all__ = ["CLASSES", "NudityEngine", "shared_engine", "weights_digest"]
