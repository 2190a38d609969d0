"""GenSafe: generated media that is checked, watermarked, signed and logged before it leaves."""

__version__ = "0.1.0"
