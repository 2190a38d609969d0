"""Watermarks: recovery, quality and false positives, by medium."""
