"""Hostile payloads through the decoder and the engine, with every verdict checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from agents.engine import Engine, Record, Work
from schemas import Click, DeadLetter, Purchase, Reason, decode_output
from stream_app.recommender import Recommender
from stream_app.users.codec import decode_state
from tests.engine_topics import ENGINE_TOPICS
from tests.hostile.payloads import Sample

BUNDLE = Path(__file__).parents[2] / "examples" / "movielens" / "bundle"
BATCH = 256
PARTITION = 0


@dataclass
class Verdicts:
    """What became of the samples."""

    made: Counter[str] = field(default_factory=Counter)
    """Number of samples by what was done to them."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Number of samples by verdict; `accepted` for none."""
    wrong: list[str] = field(default_factory=list)
    """Every sample that got another verdict than it must, in words."""
    rows: dict[bytes, bytes] = field(default_factory=dict)
    """The users' rows."""


def make_engine(now_ms: int) -> Engine:
    """A fresh engine with the example bundle and a clock that stands still."""
    return Engine(
        Recommender.load(BUNDLE, clock=lambda: now_ms),
        sources={"clicks": Click, "purchases": Purchase},
        **ENGINE_TOPICS,
        clock_ms=lambda: now_ms,
    )


def run(engine: Engine, samples: Iterable[Sample], now_ms: int, batch: int = BATCH) -> Verdicts:
    """Put samples through the engine as a worker does, and compare every verdict."""
    verdicts = Verdicts()
    stream, offset = iter(samples), 0
    while part := list(islice(stream, batch)):
        records = [
            Record(one.topic, PARTITION, offset + at, now_ms, one.key, one.value, one.headers)
            for at, one in enumerate(part)
        ]
        rows = {record.key: verdicts.rows.get(record.key) for record in records if record.key}
        work = engine.work(records, rows)
        verdicts.rows |= {row.key: row.value for row in work.rows if row.key is not None}
        _compare(verdicts, part, records, work)
        offset += len(part)
    return verdicts


def events_in(rows: dict[bytes, bytes]) -> int:
    """Events that the rows have taken."""
    return sum(decode_state(row).events for row in rows.values())


def _compare(verdicts: Verdicts, part: list[Sample], records: list[Record], work: Work) -> None:
    letters = {}
    for outgoing in work.dead:
        letter = decode_output(DeadLetter, outgoing.value)
        letters[letter.offset] = letter
    for sample, record in zip(part, records, strict=True):
        letter_ = letters.pop(record.offset, None)
        verdicts.made[sample.name] += 1
        verdicts.reasons[sample.expected.value if sample.expected else "accepted"] += 1
        verdicts.wrong += difference(sample, letter_)
    verdicts.wrong += [
        f"a dead letter for offset {offset} twice or of nothing" for offset in letters
    ]
    accepted = sum(sample.expected is None for sample in part)
    taken = sum(count for (_, outcome), count in work.outcomes.items() if outcome != "dead_letter")
    if taken != accepted:
        verdicts.wrong.append(f"{accepted} accepted in the batch of {records[0]}, {taken} taken")
    users = {sample.key for sample in part if sample.expected is None}
    if {row.key for row in work.rows} != users or {made.key for made in work.lists} != users:
        verdicts.wrong.append(f"rows and lists are not those of the batch of {records[0]}")


def difference(sample: Sample, letter: DeadLetter | None) -> list[str]:
    """What is wrong about a dead letter of a sample, or about there being none; nothing is []."""
    got = letter.reason if letter else None
    wanted = sample.expected.value if sample.expected else None
    wrong = []
    if got != wanted:
        detail = letter.detail if letter else ""
        wrong.append(f"{sample.name}: {got} ({detail}) in place of {wanted}: {sample!r:.400}")
    elif letter is not None:
        value = sample.value if sample.value is None else sample.value[: len(letter.value or b"")]
        kept = len(letter.value or b"") == len(sample.value or b"") or "value" in letter.truncated
        same_headers = letter.headers == sample.headers
        same_key = letter.key == sample.key or "key" in letter.truncated
        if not (letter.value == value and kept and same_headers and same_key and letter.detail):
            wrong.append(f"{sample.name}: its dead letter holds another record: {sample!r:.400}")
    return wrong


ALL_REASONS = frozenset(reason.value for reason in Reason) - {"processing_error"} | {"accepted"}
"""Verdicts that payloads alone can get."""
