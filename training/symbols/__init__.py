"""Training of the symbol detector, ``image_symbols``."""
