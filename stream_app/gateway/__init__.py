"""Events in and lists out over HTTP, for programs without a Kafka client."""

from stream_app.gateway.service import serve

__all__ = ["serve"]
