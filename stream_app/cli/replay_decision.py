"""`stream-app replay-decision`: make a past list again, and compare."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click
import msgspec

from stream_app.bundle import Bundle, load_bundle
from stream_app.cli.delivery import kafka_errors
from stream_app.cli.exit_codes import FOUND
from stream_app.cli.options import check_id, serving_options, settings_from
from stream_app.decisions import Replayed, replay
from stream_app.decisions.row import row_problem
from stream_app.serving import need_bundle
from stream_app.streaming.decisions import StoredDecision, read_decision


@click.command()
@serving_options
@click.argument("rec_id")
@click.option("--user", help="Whose list it is; only one partition is read then.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    config: Path | None, rec_id: str, user: str | None, as_json: bool, **flags: Any
) -> None:
    """Make the list REC_ID again from its decision and the bundle, and compare it with the list
    that was published; read-only. Exits with 1 when they differ.

    Decisions are on the topic `decisions` when workers run with the setting of that name above 0.
    They hold the user's last events: who may run this sees them.
    """
    settings = settings_from(config, **flags)
    need_bundle(settings)
    check_id("REC_ID", rec_id)
    if user is not None:
        check_id("--user", user)
    with kafka_errors("the decision could not be read"):
        stored = asyncio.run(read_decision(settings, rec_id, user))
    bundle = load_bundle(
        settings.bundle,
        backend=settings.backend,
        index=settings.index,
        precision=settings.precision,
        public_key=settings.bundle_public_key,
    )
    made = replay(stored.decision, bundle)
    problem = row_problem(stored.decision, stored.before, stored.events, bundle)
    same = None if stored.published is None else made.items == stored.published.items
    if as_json:
        click.echo(_json(stored, made, same, problem))
    else:
        click.echo("\n".join(_lines(stored, made, same, problem, bundle)))
    if same is False or made.forbidden:
        raise click.exceptions.Exit(FOUND)


def _lines(
    stored: StoredDecision,
    made: Replayed,
    same: bool | None,
    problem: str | None,
    bundle: Bundle,
) -> list[str]:
    decision = stored.decision
    lines = [
        f"list {decision.rec_id} of {decision.user_id}, release {decision.release}: "
        f"{made.candidates} candidates of {', '.join(decision.sources)}"
    ]
    if same is None:
        lines.append("the list is not on its topic any more; this is what was published:")
    else:
        lines.append(f"made again: {'the same to the bit' if same else 'DIFFERENT'}")
    if problem is None:
        count = f"{len(stored.events)} event{'s' * (len(stored.events) != 1)}"
        since = "" if stored.before is None else " since the decision before"
        lines.append(f"the row follows to the bit from the user's {count}{since}")
    else:
        lines.append(f"the row was taken from the decision: {problem}")
    if made.affinity_off is not None:
        lines.append(f"affinities of the row's vector and {bundle.path}: within "
                     f"{made.affinity_off:.1e} nats")  # fmt: skip
    lines += [f"FORBIDDEN by the filters, and a candidate: {item}" for item in made.forbidden]
    width = max((len(item.item_id) for item in made.items), default=0)
    published = () if stored.published is None else stored.published.items
    for place, item in enumerate(made.items):
        was = published[place] if place < len(published) else None
        mark = "" if same is not False or item == was else f"   was {was}"
        why = "; ".join(filter(None, [", ".join(item.sources), ", ".join(item.reasons)]))
        lines.append(f"{item.rank:4}  {item.item_id:{width}}  {item.score:9.4f}  {why}{mark}")
    return lines


def _json(stored: StoredDecision, made: Replayed, same: bool | None, problem: str | None) -> str:
    decision = stored.decision
    fields = {
        "rec_id": decision.rec_id,
        "user_id": decision.user_id,
        "release": decision.release,
        "same": same,
        "row_problem": problem,
        "affinity_off": made.affinity_off,
        "forbidden": made.forbidden,
        "candidates": made.candidates,
        "items": made.items,
    }
    return msgspec.json.encode(fields).decode()
