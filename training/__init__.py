"""How the weights that ship with the classifiers are made (Symphony's own training is in gensafe_backends)."""
