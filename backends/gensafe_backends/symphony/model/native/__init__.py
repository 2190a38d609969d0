"""The embedded default engine: C, compiled once on the user's machine."""
