"""Serving: many requests at once, and what a coded film costs."""
