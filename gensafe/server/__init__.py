"""Floor 5: the gRPC front and the small HTTP app."""
