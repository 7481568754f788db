"""Endless traffic for a demo installation: the demo's users, over and over, some at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count

import msgspec

from schemas import Click, Purchase

AT_ONCE = 20
"""Users who are there at a time. MovieLens has a user's ratings in one go, which no shop sees."""


def endless(
    events: Sequence[Click | Purchase], at_once: int = AT_ONCE
) -> Iterator[Click | Purchase]:
    """The events of all users in turn, each user's in their order, and again as new users.

    `at_once` users take turns, one event each; who is through makes room for the next. In round n
    a user is called `<user_id>.<n>`. Raises ValueError when there are no events.
    """
    histories: dict[str, list[Click | Purchase]] = {}
    for event in events:
        histories.setdefault(event.user_id, []).append(event)
    if not histories:
        raise ValueError("there are no events to send")
    waiting = (
        (f"{user}.{number}", deque(history))
        for number in count(1)
        for user, history in histories.items()
    )
    present = deque(next(waiting) for _ in range(at_once))
    while True:
        user, history = present.popleft()
        yield msgspec.structs.replace(history.popleft(), user_id=user)
        present.append((user, history) if history else next(waiting))
