"""How the broker sees the consumer group, asked with a client of its own.

An open port says little: a broker that is stopped or swamped still accepts connections. What counts
is that the coordinator of this very group answers a request, through the same login and encryption.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError

from stream_app.streaming.groups import STABLE, Partition, describe_group

log = logging.getLogger(__name__)

ANSWER_S = 5.0
"""For connection, login and answer together; a broker that takes longer is no help to a worker."""


@dataclass(frozen=True, slots=True)
class GroupView:
    """One answer, or the lack of it."""

    answers: bool = False
    """Whether the coordinator of the group serves it now."""
    owned: frozenset[Partition] | None = None
    """Partitions that any member has; None while the group moves or may not be seen."""


def view_group(client_options: Mapping[str, Any], group: str) -> GroupView:
    """Ask now; takes `ANSWER_S` at most. For a thread without an event loop."""
    try:
        return asyncio.run(asyncio.wait_for(_look(client_options, group), ANSWER_S))
    except GroupAuthorizationFailedError:
        return GroupView(answers=True)  # who it is that asks was found out by one that works
    except (KafkaError, OSError, TimeoutError) as error:
        log.info("the coordinator of group %s does not answer: %r", group, error)
        return GroupView()


async def _look(client_options: Mapping[str, Any], group: str) -> GroupView:
    admin = AIOKafkaAdminClient(**client_options, request_timeout_ms=round(ANSWER_S * 1000))
    try:
        await admin.start()
        described = await describe_group(admin, group)
        return GroupView(True, described.owned if described.state == STABLE else None)
    finally:
        await admin.close()
