"""Counts what goes on with less instead of failing: whoever degrades says so here, as in the log.

One count for the whole process, so that no part has to be handed a counter; metrics show it.
"""

from __future__ import annotations

import threading
from enum import StrEnum


class Degradation(StrEnum):
    """What can be degraded; the kinds are metric labels, so the set stays small and stable."""

    LIST_SHORT = "list_short"
    """Lists with fewer items than asked for: no more may be shown to their users."""
    NOT_AS_ASKED = "not_as_asked"
    """Lists that are not made as their scenario, arm or request says."""
    VECTOR_NOT_FINITE = "vector_not_finite"
    """Lists made without the user's vector, as the encoder gave one that is not finite."""
    QUERY_UNREAD = "query_unread"
    """Requests whose query could not be read."""
    TEXT_UNREAD = "text_unread"
    """Texts of profiles and queries that were to be read, where the text encoder failed on them or
    there is none."""
    REQUEST_EXPIRED = "request_expired"
    """Requests that were read past their deadline and not answered."""
    ENCODER_FALLBACK = "encoder_fallback"
    """Encoders that broke while they served, and were replaced by one on the CPU."""
    BACKEND_REFUSED = "backend_refused"
    """Encoder backends that failed, or gave wrong results, when a release was loaded."""
    INDEX_REPLACED = "index_replaced"
    """Approximate indexes that found too little when a release was loaded: exact ones serve."""
    INDEX_REBUILD_FAILED = "index_rebuild_failed"
    """Indexes that could not be built anew: the old ones go on."""
    SOURCE_FAILED = "source_failed"
    """Batches to which a source of another distribution proposed nothing because it failed."""
    CATALOGUE_FULL = "catalogue_full"
    """Records of items that found no room."""
    CONTROL_REFUSED = "control_refused"
    """Records of scenarios, experiments and rules that could not be taken up."""
    TRENDS_UNPUBLISHED = "trends_unpublished"
    """Times that the broker did not take this worker's counts; they are published later."""
    EVENTS_UNREAD = "events_unread"
    """Events that retention deleted before they were read."""
    BROKER_RETRY = "broker_retry"
    """Reads and connections that failed or brought nothing, and are tried again."""
    TOPIC_SHORTENED = "topic_shortened"
    """Partitions that had become shorter, so that they were read or written again."""
    PROCESS_STOPPED = "process_stopped"
    """Times that the whole process stood still for seconds."""


_lock = threading.Lock()
_counts: dict[Degradation, int] = dict.fromkeys(Degradation, 0)


def degraded(kind: Degradation, times: int = 1) -> None:
    """So many cases more of a kind. From any thread."""
    if times:
        with _lock:
            _counts[kind] += times


def degradations() -> dict[str, int]:
    """The cases of each kind since the process began. From any thread."""
    with _lock:
        return {kind.value: times for kind, times in _counts.items()}
