"""Floor 1: generated protobuf and gRPC code (scripts/generate_proto.sh). Only server, cli and client import it."""
