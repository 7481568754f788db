"""What a list was made from, so that it can be made again later."""

from __future__ import annotations

import msgspec

from schemas.messages import Experiment, RecommendationRequest


class Pin(msgspec.Struct, frozen=True):
    """A place that a rule wants for one of some items."""

    place: int
    """1 is the first."""
    items: tuple[str, ...]
    """The first that the user may be shown is taken."""


class Decision(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True, gc=False):
    """All that a list was made from (topic `decisions`, internal).

    Of the `n` candidates, those that nothing kept out stand here in the order in which the sources
    proposed them, which decides ties.
    """

    rec_id: str
    user_id: str
    made_ms: int
    release: str
    """`name@version`."""
    row: bytes
    """The user's row that the list was made from, as workers keep it; with a request's seed items
    applied."""
    plan: str
    """How lists were made, JSON of `stream_app.plan.Plan`."""
    length: int
    """Items that were ranked; a request may have asked for fewer."""
    request: RecommendationRequest | None = None
    items: tuple[str, ...]
    sources: tuple[str, ...]
    """Names of all sources."""
    proposed: bytes
    """`[n]` uint16, little-endian: bit `i` says that `sources[i]` proposed the item."""
    scorers: tuple[str, ...]
    """Names of all scorers; `terms` is what rules added."""
    parts: bytes
    """`[scorers, n]` float32, little-endian: what each added to the score, in nats."""
    causes: tuple[str, ...]
    """The item of the user's last ones that others left for the candidate; empty for none."""
    vectors: dict[str, bytes] = {}
    """float32 vectors of candidates that the release does not have."""
    pins: tuple[Pin, ...] = ()
    quotas: tuple[tuple[int, bytes], ...] = ()
    """At most how many of a group, and `[n]` bytes that say which candidates are of it."""
    experiment: Experiment | None = None
    degraded: str | None = None
