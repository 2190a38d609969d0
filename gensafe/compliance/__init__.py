"""From the log to what auditors and regulators ask for: export formats and reports per regime."""
