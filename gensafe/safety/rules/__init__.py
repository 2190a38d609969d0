"""Deterministic text rules: pure functions from a text to findings. Every pattern runs in linear time."""
