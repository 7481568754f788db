"""The demo: MovieLens as live events through Kafka and a worker, watched and audited."""
