"""What the stream teaches while it flows, for all users together."""
