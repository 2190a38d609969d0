"""The picture mark."""
