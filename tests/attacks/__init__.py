"""The attack scripts of ``../shared/security``, run against this code: ``python -m tests.attacks``."""
