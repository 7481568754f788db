"""`stream-app request`: ask for a list of a user, and print the answer."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
import msgspec

from schemas import (
    MAX_K,
    RECOMMENDATIONS,
    ItemExplanation,
    Recommendation,
    RecommendationRequest,
    encode,
    topic_name,
)
from stream_app.cli.delivery import kafka_errors
from stream_app.cli.options import check_id, connection_options, parse_context, settings_from
from stream_app.errors import UserError
from stream_app.settings import Settings
from stream_app.streaming.clients import event_sender, follower


@click.command()
@connection_options
@click.argument("user")
@click.option("-k", "k", type=click.IntRange(1, MAX_K), default=10, show_default=True,
              help="Items of the list.")  # fmt: skip
@click.option("--exclude", multiple=True, metavar="ITEM", help="Leave it out; repeatable.")
@click.option("--seed", multiple=True, metavar="ITEM",
              help="As if USER had just clicked on it; repeatable, oldest first.")  # fmt: skip
@click.option("--query", metavar="TEXT", help="What is looked for, in words.")
@click.option("--scenario", metavar="NAME", help="How it is made; a name on `scenarios`.")
@click.option("--category", "categories", multiple=True, metavar="NAME",
              help="Only items of this category; repeatable.")  # fmt: skip
@click.option("--filter", "filters", multiple=True, metavar="NAME",
              help="Not recommended again, `clicked:30d`, instead of what is usual; repeatable."
              )  # fmt: skip
@click.option("--context", multiple=True, metavar="NAME=VALUE",
              help="What is known of the situation; repeatable.")  # fmt: skip
@click.option("--explain", is_flag=True, help="Say exactly why each item is in the list.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=10, show_default=True,
              help="Seconds to wait; it is the deadline of the request as well.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON.")
def command(
    config: Path | None,
    user: str,
    k: int,
    exclude: tuple[str, ...],
    seed: tuple[str, ...],
    query: str | None,
    scenario: str | None,
    categories: tuple[str, ...],
    filters: tuple[str, ...],
    context: tuple[str, ...],
    explain: bool,
    timeout: float,
    as_json: bool,
    **flags: Any,
) -> None:
    """Ask the worker that owns USER for a list, and print it. Nothing is remembered of it."""
    settings = settings_from(config, **flags)
    for name, value in (("USER", user), *(("ITEM", item) for item in (*exclude, *seed))):
        check_id(name, value)
    request = RecommendationRequest(
        user_id=user,
        request_id=str(uuid4()),
        k=k,
        exclude=exclude,
        seed_items=seed,
        deadline_ms=time.time_ns() // 1_000_000 + int(timeout * 1000),
        scenario=scenario,
        categories=categories,
        filters=filters or None,
        context=parse_context(context) or None,
        explain=explain,
        query=query,
    )
    try:  # bounds that only the message knows, such as how many items may be excluded
        msgspec.convert(msgspec.to_builtins(request), RecommendationRequest)
    except msgspec.ValidationError as error:
        raise UserError(f"this cannot be asked for: {error}") from None
    with kafka_errors("the list could not be asked for"):
        made = asyncio.run(_ask(settings, request, timeout))
    click.echo(encode(made, "json").decode() if as_json else as_text(made))


async def _ask(
    settings: Settings, request: RecommendationRequest, timeout_s: float
) -> Recommendation:
    lists = topic_name(settings.topic_prefix, RECOMMENDATIONS)

    def answers(made: Recommendation) -> bool:
        return made.request_id == request.request_id

    async with (
        follower(settings, [lists], from_start=False) as records,
        event_sender(settings) as sender,
    ):
        placed = await (await sender.ask(request))
        try:
            return await asyncio.wait_for(records.find(Recommendation, answers), timeout_s)
        except TimeoutError:
            raise UserError(
                f"no answer within {timeout_s:g} s to {placed.topic}/{placed.partition}"
                f"@{placed.offset}; is a worker running that has partition {placed.partition}?"
            ) from None


def _explained(why: ItemExplanation) -> list[str]:
    parts = (f"{one.scorer} {one.score:+.2f} ({one.lift:+.2f})" for one in why.parts)
    causes = (f"{one.action} {one.item_id} {one.contribution:+.2f}" for one in why.causes)
    return [line for line in (", ".join(parts), ", ".join(causes)) if line]


def as_text(made: Recommendation) -> str:
    """A list as lines of text."""
    release = f"{made.model.name}@{made.model.version} on {made.model.backend}"
    lines = [f"{made.rec_id}  {made.user_id}  {release}"]
    if made.degraded:
        lines.append(f"degraded: {made.degraded}")
    width = max((len(item.item_id) for item in made.items), default=0)
    for item in made.items:
        why = "; ".join(filter(None, [", ".join(item.sources), ", ".join(item.reasons)]))
        lines.append(f"{item.rank:4}  {item.item_id:{width}}  {item.score:9.4f}  {why}")
        if item.explanation is not None:
            lines += [f"      {line}" for line in _explained(item.explanation)]
    if not made.items:
        lines.append("no item: everything that the catalogue holds is excluded or was seen")
    return "\n".join(lines)
