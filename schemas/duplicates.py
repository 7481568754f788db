"""Find a key that a payload names twice, at any depth.

The typed decoders silently keep the last of two values. This looks at the whole payload, unknown
fields included, and costs a few microseconds: the codec calls it only when it cannot rule
duplicates out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgpack  # type: ignore[import-untyped]


class _DuplicateKeyError(Exception):
    def __init__(self, key: str) -> None:
        self.key = key


def find_duplicate_key(payload: bytes) -> str | None:
    """Return a key that one object of `payload` holds twice, or None.

    Raises `ValueError` or `RecursionError` if the payload is damaged or nested too deeply.
    """
    try:
        if payload.startswith(b"{"):
            _JSON.decode(payload.decode())
        else:
            msgpack.unpackb(payload, object_pairs_hook=_refuse, strict_map_key=False)
    except _DuplicateKeyError as duplicate:
        return duplicate.key
    return None


def _refuse(pairs: Iterable[tuple[Any, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if isinstance(key, str):
            if key in seen:
                raise _DuplicateKeyError(key)
            seen.add(key)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# Integers stay text: nothing reads them, and long ones would hit the interpreter's digit limit.
_JSON = json.JSONDecoder(object_pairs_hook=_refuse, parse_int=str, parse_constant=_refuse_constant)
