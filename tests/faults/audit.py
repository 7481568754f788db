"""Holds rows, lists and dead letters against the ledger: a count of its own, apart from `verify`.

The checker trusts the source topics; the ledger is what the broker had acknowledged to the load, so
the checker itself is checked. It knows nothing of how a worker applies events: it counts events,
and compares what a row remembers with what was sent for its user.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from schemas import DeadLetter, Recommendation, decode_output
from stream_app.streaming.rows import MARKER, stamp_of, unseal
from stream_app.users.codec import decode_state
from stream_app.users.ids import item_hash
from stream_app.users.state import HISTORY_LENGTH, UserState, events_of
from tests.faults.cluster import Cluster
from tests.faults.evidence import histories
from tests.faults.ledger import TOPICS, Ledger, checksum
from tests.faults.stream import Kind

EXAMPLES = 20


@dataclass(slots=True)
class Audit:
    """What was found. All but the last group must be 0."""

    missing_sends: int = 0
    """Acknowledged by the broker, and not on the topic as they were sent."""
    unknown_records: int = 0
    """On a source topic, and never acknowledged."""
    lost: int = 0
    """Events that are in no row."""
    duplicated: int = 0
    """Events that a row counts once more."""
    misordered: int = 0
    """Rows whose history is not the newest events of their user by time."""
    wrong_retries: int = 0
    """Retries that a row does not count as duplicates."""
    uncovered: int = 0
    """Events without a list made after them."""
    dead_missing: int = 0
    """Invalid records without a dead letter."""
    dead_wrong: int = 0
    """Dead letters of records that were valid."""
    unbalanced: int = 0
    """Sends that are not applied, duplicate or dead, in sum."""

    sends: int = 0
    users: int = 0
    lists: int = 0
    repeated_lists: int = 0
    """Lists with a `rec_id` that came before."""
    repeated_dead: int = 0
    changelog_written: int = 0
    changelog_left: int = 0
    """Records of the changelog that compaction has left."""
    late_rows: int = 0
    """Rows on the changelog after one of a higher epoch: written by a former owner."""
    examples: list[str] = field(default_factory=list)
    suspects: set[int] = field(default_factory=set)
    """Users of whom something was found, as many as there are examples."""

    def findings(self) -> dict[str, int]:
        """What should be 0 and is not."""
        must_be_zero = (
            "missing_sends", "unknown_records", "lost", "duplicated", "misordered",
            "wrong_retries", "uncovered", "dead_missing", "dead_wrong", "unbalanced",
        )  # fmt: skip
        return {
            name: value for name, value in asdict(self).items() if name in must_be_zero and value
        }

    def example(self, text: str, user: int | None = None) -> None:
        """Keep some cases for whoever looks into it."""
        if len(self.examples) < EXAMPLES:
            self.examples.append(text)
            if user is not None:
                self.suspects.add(user)


@cache
def _hash(item: int) -> int:
    return item_hash(str(item))


def audit(cluster: Cluster, ledger: Ledger, *, sources_whole: bool = True) -> Audit:
    """Read everything and compare. `sources_whole`: nothing was deleted from the source topics."""
    found = Audit(sends=len(ledger))
    entries = ledger.entries
    if sources_whole:
        _check_sources(found, cluster, entries)
    rows = _rows(found, cluster)
    _check_rows(found, cluster, entries, rows)
    _check_lists(found, cluster, entries)
    dead = _check_dead_letters(found, cluster, entries)
    done = sum(row.events + row.duplicates for row in rows.values()) + dead
    found.unbalanced = abs(len(entries) - done)
    if found.suspects:
        found.examples += histories(cluster, found.suspects)
    return found


def _check_sources(found: Audit, cluster: Cluster, entries: NDArray[np.void]) -> None:
    places = zip(entries["topic"].tolist(), entries["partition"].tolist(),
                 entries["offset"].tolist(), strict=True)  # fmt: skip
    expected = dict(zip(places, entries["crc"].tolist(), strict=True))
    found.missing_sends = len(entries) - len(expected)  # two sends at one place
    for number, topic in enumerate(TOPICS):
        for record in cluster.read(cluster.settings.topic_prefix + topic):
            crc = expected.pop((number, record.partition(), record.offset()), None)
            if crc is None:
                found.unknown_records += 1
            elif crc != checksum(record.value()):
                found.missing_sends += 1
    found.missing_sends += len(expected)


def _rows(found: Audit, cluster: Cluster) -> dict[int, UserState]:
    """The valid row of every user: the highest epoch wins, then the later record."""
    best: dict[bytes, tuple[int, bytes]] = {}
    last: dict[int, int] = {}
    for record in cluster.read(cluster.changelog):
        found.changelog_left += 1
        last[record.partition()] = record.offset()
        key, value = record.key(), record.value()
        if value is None:
            continue
        epoch = stamp_of(value).epoch if value[0] == MARKER else 0
        if key in best and epoch < best[key][0]:
            found.late_rows += 1
        else:
            best[key] = (epoch, value)
    found.changelog_written = sum(last.values()) + len(last)
    return {int(key[1:]): decode_state(_state(value)) for key, (_, value) in best.items()}


def _state(value: bytes) -> bytes:
    return unseal(value) if value[0] == MARKER else value


def _by_user(entries: NDArray[np.void]) -> Iterator[tuple[int, NDArray[np.void]]]:
    ordered = entries[np.argsort(entries["user"], kind="stable")]
    cuts = np.flatnonzero(np.diff(ordered["user"])) + 1
    for part in np.split(ordered, cuts):
        if len(part):
            yield int(part["user"][0]), part


def _check_rows(
    found: Audit, cluster: Cluster, entries: NDArray[np.void], rows: Mapping[int, UserState]
) -> None:
    valid = entries[entries["kind"] != Kind.INVALID]
    for user, sent in _by_user(valid):
        found.users += 1
        row = rows.get(user, UserState())
        events = sent[sent["kind"] == Kind.EVENT]
        retries = len(sent) - len(events)
        found.lost += max(0, len(events) - row.events)
        found.duplicated += max(0, row.events - len(events))
        found.wrong_retries += abs(retries - row.duplicates)
        ordered = _same_history(row, events)
        found.misordered += not ordered
        if row.events != len(events) or retries != row.duplicates or not ordered:
            found.example(_describe(cluster, user, sent, row), user)


def _same_history(row: UserState, events: NDArray[np.void]) -> bool:
    """Whether the ring holds the newest events in their order.

    Of events at the time of the oldest in a full ring those that arrived last are in it, which the
    ledger cannot tell: only their number is compared.
    """
    ring, newest = _history(row), _newest(events)
    if len(events) > HISTORY_LENGTH:
        oldest = newest[0][0]
        return len(ring) == len(newest) and _after(ring, oldest) == _after(newest, oldest)
    return ring == newest


def _after(history: list[tuple[int, int]], timestamp_ms: int) -> list[tuple[int, int]]:
    return [event for event in history if event[0] > timestamp_ms]


def _history(row: UserState) -> list[tuple[int, int]]:
    ring = events_of(row.history)
    return _sorted_ties(zip(ring["timestamp_ms"].tolist(), ring["item"].tolist(), strict=True))


def _newest(events: NDArray[np.void]) -> list[tuple[int, int]]:
    """What a full ring must hold. Events at the same time may stand in either order."""
    times, items = events["timestamp_ms"].tolist(), map(_hash, events["item"].tolist())
    return sorted(zip(times, items, strict=True))[-HISTORY_LENGTH:]


def _sorted_ties(history: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    """The history with events of the same time, and only these, sorted."""
    result: list[tuple[int, int]] = []
    for event in history:
        at = len(result)
        while at and result[at - 1][0] == event[0] and result[at - 1] > event:
            at -= 1
        result.insert(at, event)
    return result


def _describe(cluster: Cluster, user: int, sent: NDArray[np.void], row: UserState) -> str:
    prefix = cluster.settings.topic_prefix
    last = {}
    for entry in sent:
        last[f"{prefix}{TOPICS[entry['topic']]}/{entry['partition']}"] = int(entry["offset"])
    held = set(events_of(row.history)["timestamp_ms"].tolist())
    absent = [
        f"{TOPICS[e['topic']]}/{e['partition']}@{e['offset']}"
        for e in sent
        if e["kind"] == Kind.EVENT and e["timestamp_ms"] not in held
    ]
    return (
        f"u{user}: sent {len(sent)}, row has {row.events} events, {row.duplicates} duplicates, "
        f"offsets {row.offsets}, last sent {last}, not in history {absent[-3:]}"
    )


def _check_lists(found: Audit, cluster: Cluster, entries: NDArray[np.void]) -> None:
    covered: dict[tuple[int, str], int] = defaultdict(lambda: -1)
    seen: set[str] = set()
    for record in cluster.read(cluster.settings.topic_prefix + "recommendations"):
        made = decode_output(Recommendation, record.value())
        found.lists += 1
        found.repeated_lists += made.rec_id in seen
        seen.add(made.rec_id)
        for source, offset in made.applied.items():
            key = (int(made.user_id[1:]), source)
            covered[key] = max(covered[key], offset)
    prefix = cluster.settings.topic_prefix
    for entry in entries[entries["kind"] != Kind.INVALID]:
        source = f"{prefix}{TOPICS[entry['topic']]}/{entry['partition']}"
        if covered[int(entry["user"]), source] < entry["offset"]:
            found.uncovered += 1
            user = int(entry["user"])
            found.example(f"u{user}: no list covers {source}@{entry['offset']}", user)


def _check_dead_letters(found: Audit, cluster: Cluster, entries: NDArray[np.void]) -> int:
    """Compare dead letters with invalid records; returns how many records they are of."""
    prefix = cluster.settings.topic_prefix
    invalid = entries[entries["kind"] == Kind.INVALID]
    expected = {
        (f"{prefix}{TOPICS[entry['topic']]}", int(entry["partition"]), int(entry["offset"]))
        for entry in invalid
    }
    letters: Counter[tuple[str, int, int]] = Counter()
    for record in cluster.read(prefix + "dead-letters"):
        letter = decode_output(DeadLetter, record.value())
        place = (letter.topic, letter.partition, letter.offset)
        letters[place] += 1
        if place not in expected:
            found.example(f"{place}: dead letter of a valid record: {letter.detail}")
    found.repeated_dead = letters.total() - len(letters)
    found.dead_missing = len(expected - letters.keys())
    found.dead_wrong = len(letters.keys() - expected)
    return len(letters)
