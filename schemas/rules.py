"""What operators say of lists while workers serve: one rule a record."""

from __future__ import annotations

from typing import Annotated

import msgspec

from schemas.messages import MAX_K, Id, Name, Timestamp

MAX_EXPRESSION = 4_000
"""Characters: some hundred item ids in a list, and little enough to compile in milliseconds."""
MAX_BOOST = 20.0
"""Nats; e to the 20 is half a billion, beyond which `bury`, `pin` and `exclude` say it better."""

Expression = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_EXPRESSION)]


class Rule(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What shall hold for some items in some lists (topic `rules`); replaces the rule of this id.

    Exactly one of `pin`, `boost`, `bury`, `exclude` and `at_most` is given. A record with the
    rule's key and a null value withdraws it.
    """

    rule_id: Id
    items: Expression
    """Which items it is about: CEL over `item`, true for each of them."""
    when: Expression | None = None
    """For which lists it holds: CEL over `user`, `request`, `experiment` and `arm`;
    null: for all."""
    pin: Annotated[int, msgspec.Meta(ge=1, le=MAX_K)] | None = None
    """The place, 1 is the first, of one of the items: the most popular one that the user may be
    shown."""
    boost: Annotated[float, msgspec.Meta(ge=-MAX_BOOST, le=MAX_BOOST)] | None = None
    """Nats that are added to the score of the items; below 0 they lose."""
    bury: bool = False
    """The items come after all others that are proposed."""
    exclude: bool = False
    """The items are in no list."""
    at_most: Annotated[int, msgspec.Meta(ge=0, le=MAX_K)] | None = None
    """So many of the items are in a list, and no more (a quota)."""
    scenarios: Annotated[tuple[Name, ...], msgspec.Meta(max_length=64)] = ()
    """Lists of these scenarios only; `default` is for lists after events. Empty: of all."""
    from_ms: Timestamp | None = None
    """Not before (Unix ms)."""
    until_ms: Timestamp | None = None
    """Not from then on (Unix ms)."""
    priority: Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)] = 0
    """Where rules want the same place, the highest has it; of equal ones the lowest `rule_id`."""

    @property
    def effects(self) -> tuple[str, ...]:
        """The names of the effects that are given: one, in a valid rule."""
        given = {
            "pin": self.pin is not None,
            "boost": self.boost is not None,
            "bury": self.bury,
            "exclude": self.exclude,
            "at_most": self.at_most is not None,
        }
        return tuple(name for name, is_given in given.items() if is_given)
