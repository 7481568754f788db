"""`stream-app erase`: have everything about a user removed, and show the receipt."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import click

from schemas import (
    ERASURE_RECEIPTS,
    ErasureReceipt,
    ErasureRequest,
    encode,
    topic_name,
)
from stream_app.cli.delivery import kafka_errors
from stream_app.cli.options import check_id, connection_options, settings_from
from stream_app.errors import UserError
from stream_app.settings import Settings
from stream_app.streaming.clients import event_sender, follower

OUTCOMES = {
    "erased": "the row of the user was removed",
    "unknown": "there was no row of this user",
    "handled_before": "the request was handled before; the row that is there is newer",
}


@click.command()
@connection_options
@click.argument("user")
@click.option("--request-id", help="Comes back in the receipt; a random one by default. Do not "
              "put the user's name into it: receipts outlive the data.")  # fmt: skip
@click.option("--wait", is_flag=True, help="Wait for the receipt and print it.")
@click.option("--timeout", type=click.FloatRange(min=1), default=60, show_default=True,
              help="Seconds to wait for the receipt.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    config: Path | None,
    user: str,
    request_id: str | None,
    wait: bool,
    timeout: float,
    as_json: bool,
    **flags: Any,
) -> None:
    """Remove the row of USER, and drop events of theirs that were sent before now.

    It cannot be undone. What Kafka still holds and until when is in the receipt; `stream-app verify
    --erased USER` looks whether it is gone.
    """
    settings = settings_from(config, **flags)
    request_id = request_id or str(uuid4())
    for name, value in (("USER", user), ("--request-id", request_id)):
        check_id(name, value)
    request = ErasureRequest(
        user_id=user, request_id=request_id, requested_at_ms=time.time_ns() // 1_000_000
    )
    with kafka_errors("the user could not be erased"):
        asyncio.run(_erase(settings, request, timeout if wait else None, as_json))


async def _erase(
    settings: Settings, request: ErasureRequest, timeout_s: float | None, as_json: bool
) -> None:
    receipts = topic_name(settings.topic_prefix, ERASURE_RECEIPTS)
    async with (
        follower(settings, [receipts], from_start=False) as records,
        event_sender(settings) as sender,
    ):
        placed = await (await sender.erase(request))
        place = f"{placed.topic}/{placed.partition}@{placed.offset}"
        if not as_json:
            click.echo(f"requested  {place}, request id {request.request_id}")
        elif timeout_s is None:
            click.echo(encode(request, "json"))
        if timeout_s is None:
            return

        def answers(receipt: ErasureReceipt) -> bool:
            stands = (receipt.topic, receipt.partition, receipt.offset)
            return stands == (placed.topic, placed.partition, placed.offset)

        try:
            receipt = await asyncio.wait_for(records.find(ErasureReceipt, answers), timeout_s)
        except TimeoutError:
            raise UserError(
                f"no receipt within {timeout_s:.0f} s; the request stands at {place} and is "
                "handled as soon as a worker of its partition runs"
            ) from None
        click.echo(encode(receipt, "json").decode() if as_json else as_text(receipt))


def as_text(receipt: ErasureReceipt) -> str:
    """A receipt as lines of text."""
    lines = [f"{receipt.outcome:10} {OUTCOMES.get(receipt.outcome, '')}"]
    if receipt.reread:
        lines.append("           an earlier worker may have handled it; see its receipt, if any")
    if receipt.events is not None:
        lines.append(f"removed    {receipt.events} events, {receipt.row_bytes} bytes")
    if receipt.dropped:
        lines.append(f"dropped    {receipt.dropped} events that were read with the request")
    for left in receipt.remaining:
        until = "no known end" if left.until_ms is None else _date(left.until_ms)
        lines.append(f"until      {until:25} {left.topic} may still hold records")
    return "\n".join(lines)


def _date(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="seconds")
