"""`stream-app explain`: why a user's list is as it is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from schemas import Recommendation
from stream_app.cli.delivery import kafka_errors
from stream_app.cli.options import check_id, serving_options, settings_from
from stream_app.datasets.titles import read_item_titles
from stream_app.reasons import Explanation, Sentences, languages
from stream_app.reasons.text import as_text
from stream_app.serving import need_bundle, serving
from stream_app.streaming.standing import bring_up_to_date
from stream_app.streaming.user_row import StoredUser, read_user

LIVE_COUNTS = (
    "transition counts and trends are those of the bundle: what workers have learned since is not "
    "in the row, so scores and order may differ from the list that was sent"
)


@click.command()
@serving_options
@click.option("--user", required=True, help="Id of the user.")
@click.option("--item", help="Only this item, whether it is in the list or not.")
@click.option("--k", type=click.IntRange(1, 1000), help="Items of the list; the same as "
              "--list-length.")  # fmt: skip
@click.option("--language", type=click.Choice(languages()), default="en", show_default=True,
              help="Of the sentences.")  # fmt: skip
@click.option("--titles", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="CSV with columns item_id and title, or movies.csv of MovieLens.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    config: Path | None,
    user: str,
    item: str | None,
    k: int | None,
    language: str,
    titles: Path | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Recompute the list of a user from their row and a bundle, and give the reasons; read-only.

    The row is read from the changelog topic, where workers keep it. It holds the user's last
    events: who may run this sees them.
    """
    if k is not None:
        flags["list_length"] = k
    settings = settings_from(config, **flags)
    need_bundle(settings)
    check_id("--user", user)
    sentences = Sentences(language, None if titles is None else read_item_titles(titles))
    with kafka_errors("the row of the user could not be read"):
        stored = asyncio.run(read_user(settings, user))
    recommender = serving(settings)
    with kafka_errors("rules and scenarios could not be read"):
        asyncio.run(bring_up_to_date(settings, recommender))
    explanation = recommender.explain(stored.state, item)
    notes = _notes(explanation, stored)
    if as_json:
        click.echo(_json(user, explanation, sentences, stored, notes))
        return
    click.echo("\n".join([_head(user, explanation), *notes]))
    sent = {} if stored.sent is None else {one.item_id: one.rank for one in stored.sent.items}
    click.echo(as_text(explanation, sentences, sent))


def _head(user: str, explanation: Explanation) -> str:
    return (
        f"user {user}: {explanation.events} events, {explanation.ring} of them in the ring; "
        f"release {explanation.release}; {explanation.candidates} candidates"
    )


def _notes(explanation: Explanation, stored: StoredUser) -> list[str]:
    """What the reader must know to compare with the list that was sent."""
    notes = [f"note: {LIVE_COUNTS}"]
    made_by = explanation.replayed_from
    if made_by:
        notes.append(
            f"note: the row is of release {made_by}; it was replayed from its ring with "
            f"{explanation.release}"
        )
    elif made_by is not None:
        notes.append("note: the row had no state of the encoder; it was replayed from its ring")
    if explanation.degraded:
        notes.append(
            "note: the encoder gives a vector that is not finite; the list is made without it, and "
            "no event was left out"
        )
    return [*notes, f"note: {_sent(stored.sent, explanation)}"]


def _sent(sent: Recommendation | None, explanation: Explanation) -> str:
    if sent is None:
        return "the list that was sent with the row is not on the topic any more"
    at = datetime.fromtimestamp(sent.generated_at_ms / 1000, UTC)
    release = f"{sent.model.name}@{sent.model.version}"
    same = len({one.item_id for one in sent.items} & {one.item_id for one in explanation.items})
    shared = f"; it shares {same} items with this one" if len(explanation.items) > 1 else ""
    return f"the last list sent is of {at:%Y-%m-%d %H:%M:%S} UTC, release {release}{shared}"


def _json(
    user: str,
    explanation: Explanation,
    sentences: Sentences,
    stored: StoredUser,
    notes: list[str],
) -> str:
    fields = msgspec.to_builtins(explanation)
    for item, shown in zip(explanation.items, fields["items"], strict=True):
        shown["title"] = sentences.title(item.item_id)
        shown["sentence"] = sentences.of(item)
    notes = [note.removeprefix("note: ") for note in notes]
    whole = {"user_id": user, **fields, "notes": notes, "sent": stored.sent}
    return msgspec.json.encode(whole).decode()
