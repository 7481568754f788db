"""`stream-app broker`: a real Kafka in the foreground, for development."""

from __future__ import annotations

import logging
import signal
from pathlib import Path

import click

from stream_app.broker import BrokerError, EmbeddedKafka

_POLL_S = 1.0  # a signal interrupts the wait; this only bounds how late Java's end is noticed


@click.command(name="broker")
@click.option("--port", type=click.IntRange(1, 65535), default=9092, show_default=True)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of topics and log files, kept at the end; a temporary one by default.",
)
def command(port: int, data: Path | None) -> None:
    """Run Apache Kafka on this machine until Ctrl-C, for development and trying things out.

    The first run fetches it (46 jars, 45 MB) into the cache directory.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    kafka = EmbeddedKafka(data, port)
    try:
        kafka.start()
        click.echo(f"bootstrap servers: {kafka.bootstrap}   (Ctrl-C stops the broker)")
        while not kafka.wait(_POLL_S):
            pass
        raise BrokerError(kafka.failure())
    except KeyboardInterrupt:
        click.echo("stopping the broker", err=True)
    finally:
        kafka.stop()
