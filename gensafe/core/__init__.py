"""Floor 0: frozen values, ids, digests, errors, ports and configuration. Standard library only."""
