"""Claim signers by name: the plugins of ``gensafe.signers``, one in each module. docs/signing.md says how to set up."""
