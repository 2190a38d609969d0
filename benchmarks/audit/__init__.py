"""The audit log: how fast it is, and that no crash breaks it."""
