"""Joins feedback to lists by `rec_id`, within one partition number: its users are in no other.

Feedback is added first, then lists stream by: what is held is what was answered, not what was made.
An item of a list counts once for each thing that happened to it, however often it did.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from schemas import Click, Impression, Purchase, RankedItem, Recommendation

ALL, SOURCE, RANK, RELEASE, ARM = "all", "source", "rank", "release", "arm"
DIMENSIONS = (ALL, SOURCE, RANK, RELEASE, ARM)
MADE, SHOWN, CLICKED, BOUGHT = range(4)
"""What is counted of an item of a list; columns of `Counts`."""
REPEATS = 100_000
"""Lists published again stand near the first: after a failure, a batch is done anew."""

Key = tuple[str, str]
"""A dimension and a value of it."""
Users = Iterable[tuple[str, dict[Key, list[int]]]]
"""User ids with what happened to the items of their lists: made, shown, clicked, bought, by key."""
Observe = Callable[[Recommendation, RankedItem, Sequence[int]], None]
"""Is told of an item of a list, and the columns of what happened to it."""


@dataclass(slots=True)
class _Feedback:
    items: tuple[set[str], set[str], set[str]] = field(
        default_factory=lambda: (set(), set(), set())
    )
    """Items that were shown, clicked, bought."""
    listed: bool = False
    of_another: bool = False
    """A list with that id is there, of another user."""


class Join:
    """Counts by user and key; `by_user` gives them when all lists were added."""

    def __init__(self, observe: Observe | None = None) -> None:
        """`observe` is told of every item of a list, once."""
        self._observe = observe
        # By list and user: who names the list of another must not hide what its user did.
        self._feedback: dict[str, dict[str, _Feedback]] = {}
        self._counts: dict[str, dict[Key, list[int]]] = {}
        self._recent: OrderedDict[str, None] = OrderedDict()
        self.lists = 0
        self.unmatched: Counter[str] = Counter()
        """Feedback that no list takes, by why."""

    def add_feedback(self, event: Click | Purchase | Impression) -> None:
        """An event that may answer a list; one without a `rec_id` answers none."""
        if event.rec_id is None:
            self.unmatched["no rec_id"] += 1
            return
        found = self._feedback.setdefault(event.rec_id, {}).setdefault(event.user_id, _Feedback())
        if isinstance(event, Impression):
            found.items[SHOWN - 1].update(event.item_ids)
        else:
            happened = BOUGHT if isinstance(event, Purchase) else CLICKED
            found.items[happened - 1].add(event.item_id)

    def add_list(self, made: Recommendation) -> None:
        """A list; one that was published again counts once."""
        if made.rec_id in self._recent:
            return
        self._recent[made.rec_id] = None
        if len(self._recent) > REPEATS:
            self._recent.popitem(last=False)
        self.lists += 1
        left: tuple[set[str], ...] = ()
        for user_id, found in self._feedback.get(made.rec_id, {}).items():
            if user_id == made.user_id:
                found.listed = True
                left = tuple(set(items) for items in found.items)
            else:
                found.of_another = True
        release = f"{made.model.name}@{made.model.version}"
        arm = f"{made.experiment.name}/{made.experiment.arm}" if made.experiment else ""
        counts = self._counts.setdefault(made.user_id, {})
        for item in made.items:
            happened = [MADE]
            for column, items in enumerate(left, start=1):
                if item.item_id in items:
                    items.discard(item.item_id)
                    happened.append(column)
            if self._observe is not None:
                self._observe(made, item, happened)
            for key in _keys(item.rank, item.sources, release, arm):
                row = counts.setdefault(key, [0, 0, 0, 0])
                for column in happened:
                    row[column] += 1
        self.unmatched["item not in its list"] += sum(map(len, left))

    def by_user(self) -> Users:
        """What happened to the lists of each user; call it once, when all lists were added."""
        for users in self._feedback.values():
            for one in users.values():
                if not one.listed:
                    why = "list of another user" if one.of_another else "list not there"
                    self.unmatched[why] += sum(map(len, one.items))
        return self._counts.items()


def _keys(rank: int, sources: Iterable[str], release: str, arm: str) -> Iterator[Key]:
    yield ALL, ""
    yield RANK, str(rank)
    yield RELEASE, release
    if arm:
        yield ARM, arm
    for source in sources:
        yield SOURCE, source
