"""What long films and sounds cost to examine."""
