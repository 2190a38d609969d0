"""Generator plugins: Symphony and a remote engine. Loaded by entry point; they import gensafe.core and gensafe.media only."""
