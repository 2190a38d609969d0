"""Training of the tokenizers and the model (needs torch)."""
