"""The sound mark."""
