"""Keyed watermarks for pictures, sound, video and text. Needs numpy and scipy only; no learned weights."""
