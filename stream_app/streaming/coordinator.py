"""Watches what the group's coordinator answers to aiokafka, and mends one misreading.

While a restarted broker still loads `__consumer_offsets`, it answers an offset fetch with an error
for the group and no partitions. aiokafka 0.14 looks at the partitions only, so the answer reads as
"nothing was ever committed" and the whole topic would be consumed again. Raising the error makes
aiokafka's own retry loop ask again.

Heartbeats that fail are retried by aiokafka for ever while the consumer goes on to fetch, so the
answers that confirm the membership are counted here, for the watchdog.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from aiokafka import errors
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetFetchRequest
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, SyncGroupRequest

_send_req = GroupCoordinator._send_req


@dataclass(slots=True)
class Membership:
    """What is known of a worker's membership; read from any thread."""

    confirmed: int = 0
    """Answers so far in which the coordinator took this worker for a member."""
    confirmed_at: float = 0.0
    """When the request of the last such answer was sent (monotonic seconds)."""
    joining: bool = False
    """The worker waits to be let into the group, which lasts until all other members are there."""


_memberships: WeakKeyDictionary[Any, Membership] = WeakKeyDictionary()


def membership_of(coordinator: Any) -> Membership:
    """The membership that a group coordinator of aiokafka keeps up."""
    found = _memberships.get(coordinator)
    return _memberships.setdefault(coordinator, Membership()) if found is None else found


async def _send_checked(self: Any, request: Any) -> Any:
    if isinstance(request, OffsetCommitRequest) and self.generation < 0:
        # Without a membership the request would be taken for one of a consumer without a group, and
        # be granted while the group is empty: for events whose rows the next owner refuses.
        raise errors.IllegalGenerationError(self.group_id)
    membership = membership_of(self)
    joins = isinstance(request, JoinGroupRequest | SyncGroupRequest)
    if joins:
        membership.joining = True
    sent_at = time.monotonic()
    try:
        response = await _send_req(self, request)
    finally:
        if joins:
            membership.joining = False
    if isinstance(request, OffsetFetchRequest):
        _raise_group_error(self, response)
    elif joins or isinstance(request, HeartbeatRequest):
        _confirm(membership, response, sent_at)
    return response


def _confirm(membership: Membership, response: Any, sent_at: float) -> None:
    error = errors.for_code(response.error_code)
    if error in (errors.NoError, errors.RebalanceInProgressError):
        membership.confirmed += 1
        membership.confirmed_at = sent_at


def _raise_group_error(coordinator: Any, response: Any) -> None:
    code = getattr(response, "error_code", 0)
    if code:
        error = errors.for_code(code)
        if error is errors.NotCoordinatorForGroupError:
            coordinator.coordinator_dead()
        raise error()


def install() -> None:
    """Replace the request method of every group coordinator of this process."""
    GroupCoordinator._send_req = _send_checked
