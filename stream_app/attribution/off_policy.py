"""What another way of making lists would have been worth, from lists that were made with chance.

Where chance had a part in what stands at a place, the item says how likely it was to stand there
(`RankedItem.propensity`). A place is weighted by how much likelier the policy that is judged (the
target) would have put the same item there: inverse propensity scoring (Horvitz and Thompson, JASA
1952), with weights clipped (Bottou et al., JMLR 2013), and self-normalised, which varies less
(Swaminathan and Joachims, NIPS 2015). Taken place by place: what stands elsewhere in a list is
taken for having no part in whether an item is clicked (the item-position model of Li et al., KDD
2018).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import msgspec
import numpy as np

from schemas import RankedItem, Recommendation
from stream_app.attribution.clusters import Clusters, Rate, interval
from stream_app.attribution.join import BOUGHT, CLICKED, SHOWN
from stream_app.errors import UserError

CLIP = 1000.0
"""The weight of an item that chance puts there once in a thousand times."""
MOST_LIKELY = 0.5
"""An item with more than that is what the place would have had without chance."""
FEW = 100.0
"""Effective places; with fewer the normal approximation of the intervals is not to be trusted."""
_PLACES, _WEIGHT, _SQUARE, _CLICK, _BUY, _WEIGHTED_CLICK, _WEIGHTED_BUY = range(7)
_COLUMNS = 7
_BASES = ("made", "shown")

Target = Mapping[str, Mapping[tuple[int, str], float]]
"""By `rec_id`: the probability with which the target puts an item at a rank; 0 where none."""


class _Place(msgspec.Struct):
    item_id: str
    rank: int
    propensity: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None


class _List(msgspec.Struct):
    rec_id: str
    items: list[_Place]


class Judged(msgspec.Struct, frozen=True):
    """A rate per place, of the lists that were made and of those that the target would make."""

    logged: Rate
    ips: Rate
    """Inverse propensity scoring, with clipped weights."""
    snips: Rate
    """The same, self-normalised."""


class OffPolicyReport(msgspec.Struct, frozen=True):
    """The answer of `stream-app attribution --off-policy`."""

    target: str
    per: str
    """`shown` or `made`: which places are judged."""
    places: int
    """Places with a propensity, in lists that the target has."""
    users: int
    clip: float
    clipped: int
    """Places whose weight was larger than `clip`."""
    effective: float
    """As many places without weights would tell as much (Kish): sum(w)^2 / sum(w^2)."""
    weight: Rate
    """Mean weight; 1 where the lists that were made could have been those of the target."""
    click: Judged
    purchase: Judged
    warnings: list[str]


class OffPolicy:
    """Adds up places of lists by user; `observe` is told of them by a `Join`."""

    def __init__(self, target: Target | None = None, clip: float = CLIP) -> None:
        """`target` None judges the lists as they would have been without chance."""
        self._target = target
        self._clip = clip
        self._rows: dict[str, np.ndarray] = {}
        self._clipped = [0, 0]

    def observe(self, made: Recommendation, item: RankedItem, happened: Sequence[int]) -> None:
        """An item of a list, and the columns of what happened to it."""
        if not item.propensity:
            return
        wanted = self._wanted(made.rec_id, item)
        if wanted is None:
            return
        weight = min(wanted / item.propensity, self._clip)
        click, buy = float(CLICKED in happened), float(BOUGHT in happened)
        row = np.array([1, weight, weight**2, click, buy, weight * click, weight * buy])
        rows = self._rows.setdefault(made.user_id, np.zeros((2, _COLUMNS)))
        clipped = weight < wanted / item.propensity
        for base in (0, 1)[: 1 + (SHOWN in happened)]:
            rows[base] += row
            self._clipped[base] += clipped

    def _wanted(self, rec_id: str, item: RankedItem) -> float | None:
        """How likely the target puts the item there; None where it has no list."""
        if self._target is None:
            return float((item.propensity or 0.0) > MOST_LIKELY)
        places = self._target.get(rec_id)
        return None if places is None else places.get((item.rank, item.item_id), 0.0)

    def report(self, per: str, target: str) -> OffPolicyReport:
        """The estimates, of places that were `made` or `shown`; `target` is its name."""
        base = _BASES.index(per)
        sums: Clusters[str] = Clusters(_COLUMNS)
        for row in self._rows.values():
            if row[base, _PLACES]:
                sums.add("", row[base].tolist())

        def rate(column: int, of: int) -> Rate:
            return interval(sums.ratio("", column, of))

        def judged(plain: int, weighted: int) -> Judged:
            return Judged(rate(plain, _PLACES), rate(weighted, _PLACES), rate(weighted, _WEIGHT))

        total = sums.sums("")
        square = float(total[_SQUARE])
        effective = float(total[_WEIGHT]) ** 2 / square if square else 0.0
        weight = rate(_WEIGHT, _PLACES)
        return OffPolicyReport(
            target=target,
            per=per,
            places=int(total[_PLACES]),
            users=sums.users(""),
            clip=self._clip,
            clipped=self._clipped[base],
            effective=effective,
            weight=weight,
            click=judged(_CLICK, _WEIGHTED_CLICK),
            purchase=judged(_BUY, _WEIGHTED_BUY),
            warnings=_warnings(int(total[_PLACES]), effective, weight),
        )


def _warnings(places: int, effective: float, weight: Rate) -> list[str]:
    if not places:
        return ["no place of these lists was left to chance: there is nothing to judge by"]
    warnings = []
    if effective < FEW:
        warnings.append(f"these places tell as much as {effective:.0f}: too few to believe in")
    value, high = weight.value, weight.high
    # Twice the interval: what is out of it once in twenty times is no cause for alarm.
    if value is not None and high is not None and abs(value - 1) > 2 * (high - value) + 1e-9:
        warnings.append(
            f"the mean weight is {value:.2f}, not 1: the target puts items where chance "
            "never put them, or weights were clipped, and the estimates leave that out"
        )
    return warnings


def read_target(lines: Iterable[bytes]) -> Target:
    """Lists of the target: a JSON object a line, with `rec_id` and `items` as recommendations have.

    An item's `propensity` is the probability that the target puts it at its rank; left out, it is
    sure. Raises UserError.
    """
    decoder = msgspec.json.Decoder(_List)
    target: dict[str, dict[tuple[int, str], float]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            one = decoder.decode(line)
        except msgspec.MsgspecError as error:
            raise UserError(f"line {number} is no list: {error}") from None
        if one.rec_id in target:
            raise UserError(f"line {number}: there are two lists for rec_id {one.rec_id!r}")
        places = target[one.rec_id] = {}
        at_rank: dict[int, float] = {}
        for item in one.items:
            chance = 1.0 if item.propensity is None else item.propensity
            at_rank[item.rank] = at_rank.get(item.rank, 0.0) + chance
            if at_rank[item.rank] > 1 + 1e-9 or (item.rank, item.item_id) in places:
                raise UserError(
                    f"line {number}: rank {item.rank} has more than one item for sure, or one twice"
                )
            places[item.rank, item.item_id] = chance
    if not target:
        raise UserError("it holds no list")
    return target
