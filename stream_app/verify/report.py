"""What a check found: counts by kind, with a bounded number of examples."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from stream_app.verify.scope import EXAMPLES


class Kind(StrEnum):
    """Kinds of findings; each breaks a promise of docs/delivery.md."""

    LOST = "lost"
    """An event that is neither in its user's row nor in the dead letters nor a duplicate."""
    DUPLICATED = "duplicated"
    """An event that was applied twice, or applied and also a dead letter."""
    MISORDERED = "misordered"
    """A history that is not in order of event time, or equal times not in topic order."""
    UNCOVERED = "uncovered"
    """An applied event that no list of its user covers."""
    STALE = "stale"
    """A user whose last list covers less than the row."""
    WRONG_PARTITION = "wrong_partition"
    """A record in another partition than its key has, or than its source events are in."""
    BEYOND = "beyond"
    """A commit, a row or a list that claims offsets which the topic does not have."""
    UNCOMMITTED = "uncommitted"
    """Settled only: a source partition whose commit is not at its end."""
    DAMAGED = "damaged"
    """A record of ours that cannot be read."""
    ALTERED = "altered"
    """A row that holds what no event explains, or whose counters contradict its contents."""
    NOT_ERASED = "not_erased"
    """The row of a user whose erasure is committed, and that is still there."""
    STALE_LAST = "stale_last"
    """Strict only: a key whose last row on the changelog is a late one of a former owner."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as promised, as the comparison sees it."""

    kind: Kind
    detail: str
    user: bytes | None = None
    place: str | None = None
    """`topic/partition@offset`, or without the offset where there is none."""
    count: int = 1
    """How many it stands for."""


@dataclass(slots=True)
class Report:
    """The outcome of a check; `as_dict` is what `--json` prints."""

    settled: bool = False
    show_users: bool = False
    most_examples: int = EXAMPLES
    checked: Counter[str] = field(default_factory=Counter)
    """Events, users, rows, lists, dead letters that were looked at."""
    notes: Counter[str] = field(default_factory=Counter)
    """Harmless things worth a look: repeated lists, late rows, removed users."""
    unchecked: Counter[str] = field(default_factory=Counter)
    """What could not be judged, because retention or the range hides what it needs."""
    range: dict[str, list[int]] = field(default_factory=dict)
    """First offset and end of what was read, by `topic/partition`."""
    seconds: float = 0.0
    _counts: Counter[Kind] = field(default_factory=Counter)
    _examples: dict[Kind, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self._counts.total()

    def count(self, kind: Kind) -> int:
        """Findings of a kind."""
        return self._counts[kind]

    def examples(self, kind: Kind) -> list[dict[str, Any]]:
        """Some findings of a kind, each with `user`, `place`, `detail`."""
        return self._examples.get(kind, [])

    def add(self, finding: Finding) -> None:
        """Count a finding, and describe it while there are few."""
        self._counts[finding.kind] += finding.count
        examples = self._examples.setdefault(finding.kind, [])
        if len(examples) < self.most_examples:
            example: dict[str, Any] = {"place": finding.place, "detail": finding.detail}
            if finding.user is not None:
                example["user"] = self._name(finding.user)
            if finding.count > 1:
                example["count"] = finding.count
            examples.append(example)

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        kinds = {
            kind.value: {"count": self.count(kind), "examples": self.examples(kind)}
            for kind in Kind
        }
        return {
            "ok": self.ok,
            "settled": self.settled,
            "checked": dict(self.checked),
            **kinds,
            "notes": dict(self.notes),
            "unchecked": dict(self.unchecked),
            "range": self.range,
            "seconds": round(self.seconds, 3),
        }

    def _name(self, user: bytes) -> str:
        if self.show_users:
            return user.decode(errors="backslashreplace")
        return "#" + blake2b(user, digest_size=8).hexdigest()
