"""An explanation for people, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from stream_app.reasons.result import (
    Cause,
    ExplainedItem,
    Explanation,
    Part,
    RuleEffect,
    Status,
)
from stream_app.reasons.sentences import Sentences

_INDENT = "     "


def as_text(
    explanation: Explanation, sentences: Sentences, sent: Mapping[str, int] | None = None
) -> str:
    """The items, each with its reasons; `sent` are the ranks in a list that was sent, by item."""
    lines = [line for item in explanation.items
             for line in _item(item, explanation, sentences, sent or {})]  # fmt: skip
    return "\n".join([*map(_rule, explanation.rules), *lines])


def _rule(one: RuleEffect) -> str:
    """`rule few: at_most 2, about 812 items, 31 of them candidates; ranks 1, 4`."""
    value = "" if one.value is None else f" {one.value:g}"
    text = (
        f"rule {one.rule_id}: {one.effect}{value}, about {one.items} items, {one.candidates} of "
        "them candidates"
    )
    if one.effect == "exclude":
        return f"{text}, kept out"
    if not one.ranks:
        return f"{text}, none in the list"
    left_out = one.candidates - len(one.ranks)
    over = f", {left_out} left out" if one.effect == "at_most" and left_out > 0 else ""
    return f"{text}{over}; ranks {', '.join(map(str, one.ranks))}"


def _item(
    item: ExplainedItem, whole: Explanation, sentences: Sentences, sent: Mapping[str, int]
) -> Iterator[str]:
    title = sentences.title(item.item_id)
    name = title if title == item.item_id else f"{title} [{item.item_id}]"
    rank = "-" if item.rank is None else item.rank
    was = f"  sent as {sent[item.item_id]}" if item.item_id in sent else ""
    yield f"{rank:>3}  {name}  score {item.score:.2f}{was}"
    if item.status != Status.LISTED:
        yield f"{_INDENT}not in the list: {_why_not(item, whole)}"
    if item.sources:
        yield f"{_INDENT}proposed by {', '.join(item.sources)}"
    if item.rules:
        yield f"{_INDENT}rules about it: {', '.join(item.rules)}"
    yield _INDENT + "   ".join(map(_part, item.parts))
    for cause in item.causes:
        yield f"{_INDENT}{cause.contribution:+.2f} {_cause(cause, sentences)}"
    if item.older is not None:
        yield f"{_INDENT}{item.older:+.2f} events that have left the ring"
    yield _INDENT + sentences.of(item)


def _why_not(item: ExplainedItem, whole: Explanation) -> str:
    place = f"place {item.place} of {whole.candidates} candidates, the list takes {whole.k}"
    if item.status == Status.FILTERED:
        return f"filtered by {', '.join(item.filters)} (by its score it would be at {place})"
    if item.status == Status.OUTRANKED:
        return place
    return f"no source proposed it (by its score it would be at {place})"


def _part(part: Part) -> str:
    """`affinity -1.20 (+0.80, 62 %)`: score, lift, share."""
    share = f", {part.share:.0%}" if part.share else ""
    return f"{part.scorer} {part.score:+.2f} ({part.lift:+.2f}{share})"


def _cause(cause: Cause, sentences: Sentences) -> str:
    at = datetime.fromtimestamp(cause.timestamp_ms / 1000, UTC)
    return f"{cause.action} {sentences.title(cause.item_id)}, {at:%Y-%m-%d %H:%M}"
