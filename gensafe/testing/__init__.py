"""Simulators and contract suites for plugin writers. Never part of a serving deployment."""
