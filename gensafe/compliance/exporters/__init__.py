"""Views of audit entries in other formats, one file per format; each is a ``gensafe.core.ports.Exporter``.

An entry reaches an exporter as ``{"index", "time_ms", "leaf_hash", "entry"}``; rows keep the leaf hash, so that each
can be led back to the entry and its proof.
"""
