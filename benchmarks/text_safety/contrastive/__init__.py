"""The contrastive set: benign prompts that look dangerous and their unsafe twins. Written here, CC0-1.0."""
