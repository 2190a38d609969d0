"""Runs ``benchmarks.symphony.engines``: the short name that documents use."""

from benchmarks.symphony.engines import main

if __name__ == "__main__":
    main()
