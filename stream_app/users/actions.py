"""What a user can do with an item, as the small codes that rows and features hold."""

from __future__ import annotations

# A code is the position in this tuple and is written to every row: only ever append.
ACTIONS = ("other", "view", "click", "like", "add_to_cart", "purchase")

_CODES = {name: code for code, name in enumerate(ACTIONS)}

OTHER = _CODES["other"]
PURCHASE = _CODES["purchase"]


def action_code(name: str) -> int:
    """Code of an action name; an unknown name counts as `other` (0)."""
    return _CODES.get(name, OTHER)
