"""How the shipped text weights were made. Not imported by the service; needs scikit-learn, torch and onnx."""
