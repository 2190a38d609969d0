"""The parts of ``benchmarks.text_safety``: data, systems, and one module per measurement."""
