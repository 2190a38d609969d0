"""The contrastive set: benign prompts that look dangerous and their unsafe twins. Written for this project (CC0-1.0)."""
