"""Measurements of what the documents claim: one command per claim, results beside them (see README.md)."""
