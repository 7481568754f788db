"""What a user can do with an item, as the small codes that rows and features hold."""

from __future__ import annotations

# A code is the position in this tuple and is written to every row: only ever append.
ACTIONS = ("other", "view", "click", "like", "add_to_cart", "purchase")

# Products of these with probabilities are finite and above 0 in float32.
_LEAST, _MOST = 1e-30, 1e30

_CODES = {name: code for code, name in enumerate(ACTIONS)}

OTHER = _CODES["other"]
PURCHASE = _CODES["purchase"]


def action_code(name: str) -> int:
    """Code of an action name; an unknown name counts as `other` (0)."""
    return _CODES.get(name, OTHER)


def action_name(code: int) -> str:
    """Name of a code; one that a later version has written counts as `other`."""
    return ACTIONS[code if code < len(ACTIONS) else OTHER]


def action_numbers(text: str) -> tuple[float, ...]:
    """A number for each of `ACTIONS` from text like `purchase=4 add_to_cart=2`; 1 where not given.

    Raises `ValueError` for what is not `name=number` with a known action and a number above 0.
    """
    numbers = dict.fromkeys(ACTIONS, 1.0)
    for part in text.replace(",", " ").split():
        name, _, number = part.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = 0.0
        if name not in ACTIONS or not _LEAST <= value <= _MOST:
            raise ValueError(
                f"{part!r} is not action=number with one of the actions "
                f"{', '.join(ACTIONS)} and a number above 0; write for example 'purchase=4'"
            )
        numbers[name] = value
    return tuple(numbers.values())
