"""Symphony: one transformer over one vocabulary of text, image, audio and video tokens."""
