"""The exact jars of the embedded Kafka: coordinates, sizes and sha256 sums, pinned in a file.

`python -m stream_app.broker.lock` resolves them anew; run it when `VERSION` changes.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec

VERSION = "4.3.1"
LOCK_FILE = Path(__file__).parent / "kafka.lock.json"

# Kafka logs through slf4j 1.7 and depends on log4j-core, but not on the bridge between them:
# without it a broker that fails says nothing. The version is that of its log4j-core; the `!`
# keeps the bridge from choosing the versions of Kafka's own dependencies.
_ENDPOINT = (
    f"org.apache.kafka:kafka_2.13:{VERSION}+org.apache.logging.log4j:log4j-slf4j-impl:2.25.4!"
)


class Jar(NamedTuple):
    """One file of the class path."""

    coordinate: str
    """`group:artifact:version`, as Maven names it."""
    size: int
    sha256: str

    @property
    def filename(self) -> str:
        """Its name in Maven repositories and in our cache."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def locked_jars() -> list[Jar]:
    """Read the committed lock file; the order is that of the class path."""
    return msgspec.json.decode(LOCK_FILE.read_bytes(), type=list[Jar])


def resolve() -> list[Jar]:
    """Resolve Kafka's dependencies over the network, with every file's size and sum."""
    import jgo

    with tempfile.TemporaryDirectory() as cache:
        environment = jgo.build(_ENDPOINT, cache_dir=Path(cache))
        files = {path.name: path for path in Path(environment.path).rglob("*.jar")}
        jars = []
        for dependency in environment.lockfile.dependencies:
            coordinate = f"{dependency.groupId}:{dependency.artifactId}:{dependency.version}"
            content = files[Jar(coordinate, 0, "").filename].read_bytes()
            jars.append(Jar(coordinate, len(content), hashlib.sha256(content).hexdigest()))
    return sorted(jars)


def main() -> None:
    """Write the lock file."""
    jars = resolve()
    LOCK_FILE.write_bytes(msgspec.json.format(msgspec.json.encode(jars), indent=1) + b"\n")
    print(f"{LOCK_FILE}: {len(jars)} jars, {sum(jar.size for jar in jars)} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
