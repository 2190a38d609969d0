"""``python -m gensafe``: the command line."""

from gensafe.cli import program

if __name__ == "__main__":  # spawned worker processes import this module too
    program()
