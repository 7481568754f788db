"""What operators say about how lists are made, while workers run."""

from __future__ import annotations

from typing import Annotated

import msgspec

from schemas.messages import CategoryNames, FilterNames, Name

EVENTS = "default"
"""The scenario of lists after events, and of requests that name none."""
POPULAR = "popular"
"""A scenario that is always there: popularity alone. One of that name on the topic replaces it."""

Factor = Annotated[float, msgspec.Meta(ge=0, le=100)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Scenario(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """How lists of one kind are made (topic `scenarios`); what it leaves out is as the worker's
    settings say.

    A record with the scenario's key and a null value withdraws it.
    """

    name: Name
    """What a request asks for; `default` is for lists after events and requests without one."""
    weights: Annotated[dict[Name, Factor], msgspec.Meta(max_length=32)] = {}
    """By what the release's weights of scorers are multiplied."""
    sources: Annotated[
        dict[Name, Annotated[int, msgspec.Meta(ge=0, le=1000)]], msgspec.Meta(max_length=32)
    ] = {}
    """The most items that each source proposes; 0 leaves a source out."""
    filters: FilterNames | None = None
    """What is not recommended again, such as `bought` and `clicked:30d`."""
    categories: CategoryNames = ()
    """Lists hold items of these categories only; empty: of any."""
    exploration: Share | None = None
    """Share of the lists of which one place goes to a new arrival."""
    diversity: Factor | None = None
    """Nats that an item loses for being just like one above it."""
    popularity_discount: Share | None = None
    """Power of an item's popularity that its score is divided by."""
    action_values: Annotated[str, msgspec.Meta(max_length=500)] | None = None
    """What events are worth by action, `purchase=5 view=0.5`."""
