"""How an installation is doing, seen from its topics and its consumer group; read-only."""
