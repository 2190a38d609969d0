"""The model's own guard: a concept registered at run time is found in text, pictures, sounds and films."""
