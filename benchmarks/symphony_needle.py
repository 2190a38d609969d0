"""Runs ``benchmarks.symphony.needle``: the short name that documents use."""

from benchmarks.symphony.needle import main

if __name__ == "__main__":
    main()
