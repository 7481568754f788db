"""The part of a batch that was shown: into the rows, and no further."""

from __future__ import annotations

import time
from collections.abc import Sequence

from agents.records import Work
from stream_app.source_messages import ShownMessage, source_impression
from stream_app.users.shown import apply_impression
from stream_app.users.state import UserState


def show(
    work: Work, shown: Sequence[ShownMessage], states: dict[str, UserState | None]
) -> dict[str, UserState]:
    """Bring impressions into `states`; returns the rows that they changed.

    They are no feedback, and get no list. Of a batch they come before the events: the two change
    different parts of a row, and the lists after the events then know of them.
    """
    began = time.thread_time()
    changed: dict[str, UserState] = {}
    for source in shown:
        user_id = source.message.user_id
        before = states.get(user_id) or UserState()
        state, outcome = apply_impression(before, source_impression(source))
        states[user_id] = changed[user_id] = state
        work.count(source.topic, outcome.value)
    work.unanswered += len(shown)
    work.spend("apply", time.thread_time() - began)
    return changed
