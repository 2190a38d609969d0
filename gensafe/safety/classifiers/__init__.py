"""The built-in classifiers, one file each; loaded by entry point."""
