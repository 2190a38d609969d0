"""The film mark."""
