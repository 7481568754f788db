"""A real Apache Kafka from packages alone, for the demo, development and tests."""

from stream_app.broker.errors import BrokerError
from stream_app.broker.security import BrokerSecurity
from stream_app.broker.server import EmbeddedKafka

__all__ = ["BrokerError", "BrokerSecurity", "EmbeddedKafka"]
