"""OmniNet-mini: a small procedural world with exact labels and rule-based checkers."""
