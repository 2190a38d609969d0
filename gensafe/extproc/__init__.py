"""Floor 1: generated messages of Envoy's filter (scripts/generate_proto.sh). Only the server imports them."""
