"""``text_guard_local``: open guard models from a folder on this machine, through transformers and torch."""
