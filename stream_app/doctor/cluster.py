"""What the checks of a cluster share, read once, and the commands of Kafka that mend it."""

from __future__ import annotations

from dataclasses import dataclass

from stream_app.settings import Settings
from stream_app.streaming import topics
from stream_app.streaming.layout import Layout, read_layout


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster at one moment."""

    settings: Settings
    layout: Layout
    """Of all topics of the installation, of those that exist."""
    configs: dict[str, dict[str, str]]
    """Settings of topics; without those that may not be seen."""

    def tool(self, name: str, arguments: str) -> str:
        """A command of Kafka's own tools, for these brokers."""
        servers = f"--bootstrap-server {self.settings.bootstrap_servers}"
        secured = self.settings.security_protocol != "PLAINTEXT"
        login = " --command-config client.properties" if secured else ""
        return f"{name} {servers}{login} {arguments}"

    def configure(self, topic: str, config: str, value: str) -> str:
        """The command that changes a setting of a topic."""
        where = f"--alter --entity-type topics --entity-name {topic}"
        return self.tool("kafka-configs.sh", f"{where} --add-config {config}={value}")


async def read_cluster(settings: Settings) -> Cluster:
    """Raises `NoBrokerError`, `AccessError` or `UserError`."""
    names = [spec.name for spec in topics.specs(settings, 1)]
    layout = await read_layout(settings, names)
    return Cluster(settings, layout, await topics.configs(settings, layout.topics))
