"""What the worker has done last, told once a batch by its agent and read by the inspector's thread.

While nobody looks, a batch is taken note of, not looked into: who was in it is all that is kept.
Nothing here waits, and all of it is bounded.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from schemas import DeadLetter, decode_output
from stream_app.users.erasure import Erasure

RECENT_USERS = 500
DEAD_LETTERS = 50
"""Of at most 256 KiB each."""
WAITING_LISTS = 4_000
"""Made since the inspector looked last, a fifth of a second ago: some 10 MB. More are left out."""


class Published(Protocol):
    """A record that was published."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class Read(Protocol):
    """A record that was read."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp_ms(self) -> int: ...


class BatchWork(Protocol):
    """What followed from a batch."""

    @property
    def rows(self) -> Sequence[Published]:
        """Rows that were written."""

    @property
    def lists(self) -> Sequence[Published]:
        """Recommendations after events."""

    @property
    def dead(self) -> Sequence[Published]:
        """Dead letters."""

    @property
    def erasures(self) -> Sequence[tuple[int, bytes, Erasure]]:
        """Partition, user and request."""


class Batch(NamedTuple):
    """One that was handled while somebody looked."""

    at_ms: int
    """When its outputs were acknowledged, Unix ms."""
    lists: Sequence[Published]
    records: Sequence[Read]


class Recent(NamedTuple):
    """A user whose row was written."""

    user: bytes
    at_ms: int


class Feed:
    """One writer, the agent; one reader. Appends and copies of a deque are atomic in CPython."""

    def __init__(self, clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._clock_ms = clock_ms
        self._users: deque[tuple[int, list[bytes]]] = deque()
        self._held = 0
        self._dead: deque[Published | DeadLetter] = deque(maxlen=DEAD_LETTERS)
        self._batches: deque[Batch] = deque()
        self._put = self._taken = 0  # each is changed by one thread only
        self.dead_letters = 0
        """How many there were since the start."""
        self.listening = False
        """Whether somebody wants the lists of every batch."""

    def batch(self, work: BatchWork, records: Sequence[Read]) -> None:
        """A batch of `records` was handled: its outputs are acknowledged."""
        now_ms = self._clock_ms()
        if work.erasures:
            self._forget({user for _, user, _ in work.erasures})
        if work.rows:
            self._note(now_ms, [row.key for row in work.rows if row.key and row.value is not None])
        if work.dead:
            self._dead.extend(work.dead)
            self.dead_letters += len(work.dead)
        if self.listening and self._put - self._taken < WAITING_LISTS:
            self._put += max(1, len(work.lists))
            self._batches.append(Batch(now_ms, work.lists, records))

    def rejected(self, letters: Sequence[DeadLetter]) -> None:
        """Records beside the events, of items, have become dead letters."""
        self._dead.extend(letters)
        self.dead_letters += len(letters)

    def drain(self) -> list[Batch]:
        """The batches since the last time, but for those that were too many."""
        taken = []
        while self._batches:
            taken.append(self._batches.popleft())
            self._taken += max(1, len(taken[-1].lists))
        return taken

    def users(self, most: int) -> list[Recent]:
        """The users whose rows were written last, the newest first."""
        found: dict[bytes, Recent] = {}
        for at_ms, users in reversed(list(self._users)):
            for user in reversed(users):
                found.setdefault(user, Recent(user, at_ms))
                if len(found) >= most:
                    return list(found.values())
        return list(found.values())

    def letters(self) -> list[DeadLetter]:
        """The last dead letters, the newest first."""
        return [
            one if isinstance(one, DeadLetter) else decode_output(DeadLetter, one.value)
            for one in reversed(list(self._dead))
        ]

    def _note(self, now_ms: int, users: list[bytes]) -> None:
        if not users:
            return
        self._users.append((now_ms, users))
        self._held += len(users)
        while self._held - len(self._users[0][1]) >= RECENT_USERS:
            self._held -= len(self._users.popleft()[1])

    def _forget(self, erased: set[bytes]) -> None:
        """What is said here of users who were erased goes too."""
        for _ in range(len(self._users)):
            at_ms, users = self._users.popleft()
            if left := [user for user in users if user not in erased]:
                self._users.append((at_ms, left))
        self._held = sum(len(users) for _, users in self._users)
        for _ in range(len(self._dead)):
            letter = self._dead.popleft()
            if letter.key not in erased:
                self._dead.append(letter)
