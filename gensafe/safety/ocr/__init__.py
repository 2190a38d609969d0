"""Reading text in pictures with the PP-OCRv4 models (PaddleOCR, Apache-2.0), run by ONNX Runtime alone.

The models come from the RapidOCR distribution (Apache-2.0); pre- and post-processing are written here in NumPy and
SciPy, so that no OpenCV is needed. Licence and origin of the weights: ``weights/README.md``.
"""

from gensafe.safety.ocr.engine import OcrEngine, TextLine, shared_engine

__all__ = ["OcrEngine", "TextLine", "shared_engine"]
