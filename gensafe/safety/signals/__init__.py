"""Measurements on decoded media, as pure functions: no policy, no state between calls, nothing but NumPy and SciPy."""
