"""Fuzzers that run as commands: ``python -m tests.fuzz.media``."""
