"""Generator plugins: Symphony and a remote engine. Loaded by entry point; they see gensafe.core and gensafe.media."""
