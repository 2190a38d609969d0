"""The engines in the box: their speed, their marks, whether their speech is understood, and what gets through."""
