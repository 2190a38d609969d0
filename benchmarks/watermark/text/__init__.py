"""The text mark."""
