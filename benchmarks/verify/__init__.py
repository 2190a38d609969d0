"""Verification: how fast files are verified, and whether hostile ones do harm."""
