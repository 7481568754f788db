"""What lists should be good at beside the next event: chosen by operators, not fitted in training.

The weights that are fitted are in the manifest of a release
(`stream_app.bundle.manifest.RankingWeights`). All strengths are in nats, the unit of scores.
"""

from __future__ import annotations

from dataclasses import dataclass

from stream_app.errors import UserError
from stream_app.users.actions import action_numbers

MAX_DIVERSITY = 100.0


class ObjectivesError(UserError, ValueError):
    """An objective has a name or a value that cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objectives:
    """With the defaults a list is ordered by score alone; raises `ObjectivesError`."""

    diversity: float = 0.0
    """Nats that an item loses for being just like one above it (cosine 1), 0 to 100."""
    popularity_discount: float = 0.0
    """Power of an item's share of the present activity that its score is divided by, 0 to 1."""
    action_values: str = ""
    """What events are worth by action, as in `purchase=5 view=0.5`; 1 where none is given."""

    def __post_init__(self) -> None:
        for name, most in (("diversity", MAX_DIVERSITY), ("popularity_discount", 1.0)):
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise ObjectivesError(f"{name} is {value}; it must be from 0 to {most:g}")
        try:
            self.values_by_action()
        except ValueError as error:
            raise ObjectivesError(f"action_values: {error}") from None

    def values_by_action(self) -> tuple[float, ...] | None:
        """`action_values` by action code; None when all are 1, which changes no list."""
        values = action_numbers(self.action_values)
        return None if all(value == 1 for value in values) else values

    @classmethod
    def parse(cls, text: str) -> Objectives:
        """From text like `diversity=2 popularity_discount=0.1 purchase=5`.

        What is no objective by name is an action with its value. Raises `ObjectivesError`.
        """
        numbers: dict[str, float] = {}
        values: list[str] = []
        for part in text.replace(",", " ").split():
            name, _, number = part.partition("=")
            if name not in ("diversity", "popularity_discount"):
                values.append(part)
                continue
            try:
                numbers[name] = float(number)
            except ValueError:
                raise ObjectivesError(f"{part!r}: write {name}= and a number") from None
        return cls(**numbers, action_values=" ".join(values))
