"""Who is in which arm: a pure function of salt and user id, the same on every worker and for ever.

Users have a place from 0 to 1 by a hash that all experiments share, and each experiment a stretch
of them, so that nobody is in two (one layer of Tang et al., Overlapping Experiment Infrastructure,
KDD 2010). Within it a second hash, with the salt of the experiment, deals them to the arms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas import Experiment, ExperimentSpec, control_of

LAYER = "stream-app users"
"""Salt of the places of users: changing it would move all users of all experiments."""
_PREFIX_BYTES, _POINT_BYTES = 16, 8


def points(salt: str, users: Sequence[str]) -> NDArray[np.float64]:
    """A number in [0, 1) for each user id, uniform and independent between salts; `[B]`.

    The upper 53 bits of a BLAKE2b hash (RFC 7693) of a digest of the salt and the user id in UTF-8.
    """
    prefix = blake2b(salt.encode(), digest_size=_PREFIX_BYTES).digest()
    digests = b"".join(
        [blake2b(prefix + user.encode(), digest_size=_POINT_BYTES).digest() for user in users]
    )
    upper = np.frombuffer(digests, "<u8") >> np.uint64(11)
    return upper.astype(np.float64) * 2.0**-53


class Assigned(NamedTuple):
    """What an arm means for its users."""

    experiment: Experiment
    """As lists name it: the control, for users of an arm that is off."""
    scenario: str | None
    """What its lists are made with; None: as everyone's."""
    lists: str
    """The scenario of the lists that are concerned."""
    own: str
    """The arm that the user was dealt to, off or not."""
    release: str | None = None
    """What makes its lists; None: the main release."""


class Split:
    """Some experiments, compiled."""

    def __init__(self, specs: Iterable[ExperimentSpec]) -> None:
        """Where two want the same users, the one that comes first by name has them."""
        specs = list(specs)
        self.names_releases = any(arm.release is not None for one in specs for arm in one.arms)
        """Whether some users are served by another release than the main one."""
        self._parts: list[tuple[float, float, str, NDArray[np.float64], list[Assigned | None]]] = []
        for spec in sorted(specs, key=lambda one: one.name):
            edges = _whole(np.cumsum([arm.share for arm in spec.arms]))
            end = float(_whole(np.array(spec.start + spec.share)))
            self._parts.append((spec.start, end, spec.salt or spec.name, edges, _arms(spec)))

    def assign(self, users: Sequence[str]) -> list[Assigned | None]:
        """The arm of each user id; None for those who are in no experiment."""
        found: list[Assigned | None] = [None] * len(users)
        if not self._parts:
            return found
        places = points(LAYER, users)
        free = np.ones(len(users), np.bool_)
        for start, end, salt, edges, arms in self._parts:
            inside = np.flatnonzero(free & (places >= start) & (places < end))
            if not len(inside):
                continue
            free[inside] = False
            drawn = points(salt, [users[place] for place in inside.tolist()])
            numbers = np.searchsorted(edges, drawn, side="right")
            for place, number in zip(inside.tolist(), numbers.tolist(), strict=True):
                found[place] = arms[number]
        return found


def _whole(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ten times 0.1 is all, although it is not 1 in floating point."""
    return np.where(edges > 1 - 1e-9, 1.0, edges)


def _arms(spec: ExperimentSpec) -> list[Assigned | None]:
    """By the number of the arm; the last is what no arm has."""
    control = control_of(spec)
    arms = {arm.name: arm for arm in spec.arms}
    assigned: list[Assigned | None] = []
    for arm in spec.arms:
        name = control if arm.name in spec.off else arm.name
        assigned.append(
            Assigned(
                Experiment(spec.name, name),
                arms[name].scenario,
                spec.lists,
                arm.name,
                arms[name].release,
            )
        )
    return [*assigned, None]
