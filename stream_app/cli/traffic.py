"""`stream-app traffic`: the traffic of a demo installation, so that there is something to see."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import msgspec

from schemas import Click, Purchase
from stream_app.cli.delivery import Deliveries
from stream_app.cli.demo import EXAMPLE, require_example
from stream_app.cli.options import connection_options, echo, json_option, meanwhile, settings_from
from stream_app.demo.scenario import load_scenario
from stream_app.demo.traffic import endless
from stream_app.settings import Settings
from stream_app.streaming.clients import event_sender


@click.command()
@connection_options
@click.option("--data", type=click.Path(path_type=Path), default=EXAMPLE / "ml-latest-small",
              help="MovieLens directory.")  # fmt: skip
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), default=20, show_default=True,
              help="Events per second.")  # fmt: skip
@json_option
def command(config: Path | None, data: Path, rate: float, as_json: bool, **flags: Any) -> None:
    """Send the events of the demo's users to `clicks` and `purchases`, as of now, until stopped.

    Twenty users at a time take turns; when all have been there they come again under new names. It
    is for a look at a running installation: who comes again repeats an old visit whatever is
    recommended, so hit rates of it mean nothing. Stops on SIGTERM or SIGINT.
    """
    settings = settings_from(config, **flags)
    require_example(data)
    events = load_scenario(data, None).events
    with meanwhile(as_json):
        click.echo(f"sending {rate:g} events a second   (Ctrl-C stops it)")
    sent = asyncio.run(_send(settings, endless(events), rate))
    echo(as_json, {"sent": sent}, f"sent {sent} events")


async def _send(settings: Settings, events: Iterator[Click | Purchase], rate: float) -> int:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with event_sender(settings) as sender, Deliveries() as deliveries:
        began = time.monotonic()
        for number, event in enumerate(events):
            if await _stopped(stop, began + number / rate):
                break
            happened = msgspec.structs.replace(event, timestamp_ms=time.time_ns() // 1_000_000)
            await deliveries.add(sender.send(happened))
    return deliveries.acknowledged


async def _stopped(stop: asyncio.Event, due: float) -> bool:
    """Wait until `due` on the monotonic clock, or for the end; whether it is the end."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), max(0.0, due - time.monotonic()))
    return stop.is_set()
