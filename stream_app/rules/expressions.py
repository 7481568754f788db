"""Conditions of rules in CEL, the Common Expression Language (github.com/google/cel-spec).

The only module that knows the library. What a rule can cost is bounded here: by its length, by the
library's own limits of depth and iterations, and by what an expression may be made of
(`stream_app.rules.budget`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cel_expr_python import cel

from schemas.rules import MAX_EXPRESSION
from stream_app.rules.budget import Refusal, check_parts

_STRINGS = cel.Type.List(cel.Type.STRING)
_VALUES = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
ITEM_VARIABLES: Mapping[str, Any] = {
    "item.item_id": cel.Type.STRING,
    "item.title": cel.Type.STRING,
    "item.categories": _STRINGS,
    "item.attributes": _VALUES,
    "item.has_price": cel.Type.BOOL,
    "item.price": cel.Type.DOUBLE,
    "item.currency": cel.Type.STRING,
    "item.popularity": cel.Type.DOUBLE,
    "item.available_from_ms": cel.Type.INT,
    "item.available_until_ms": cel.Type.INT,
}
"""What `items` may ask. A number that is not said of an item is missing, and what asks for it is no
match; a text that is not said is empty."""
LIST_VARIABLES: Mapping[str, Any] = {
    "user.attributes": _VALUES,
    "user.events": cel.Type.INT,
    "request.scenario": cel.Type.STRING,
    "request.context": _VALUES,
    "experiment": cel.Type.STRING,
    "arm": cel.Type.STRING,
}
"""What `when` may ask."""

_ITEMS = cel.NewEnv(variables=dict(ITEM_VARIABLES))
_LISTS = cel.NewEnv(variables=dict(LIST_VARIABLES))
_ERROR = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): ([^\n]*)")
_PATTERN = cel.NewEnv(variables={"pattern": cel.Type.STRING}).compile("''.matches(pattern)")


class ExpressionError(ValueError):
    """An expression cannot be used: where, and why."""

    def __init__(self, detail: str, line: int | None = None, column: int | None = None) -> None:
        """`line` and `column` count from 1; None where the whole expression is meant."""
        where = "" if line is None else f"line {line}, column {column}: "
        super().__init__(where + detail)
        self.line = line
        self.column = column


class ListValues:
    """Values of `LIST_VARIABLES`, ready for several conditions."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.activation = _LISTS.Activation(dict(values))


class ItemValues:
    """Values of `ITEM_VARIABLES`, ready for several conditions."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.activation = _ITEMS.Activation(dict(values))


class Condition:
    """A compiled expression."""

    def __init__(self, text: str, environment: Any, named: Mapping[str, Any]) -> None:
        """Compile. Raises `ExpressionError`."""
        if len(text) > MAX_EXPRESSION:
            raise ExpressionError(f"{len(text)} characters; at most {MAX_EXPRESSION} are taken")
        try:
            self._compiled = environment.compile(text)
        except (RuntimeError, TypeError) as error:
            raise _understood(str(error)) from None
        try:
            names = check_parts(self._compiled.serialize(), text, _pattern_fault)
        except Refusal as refusal:
            raise ExpressionError(refusal.detail, refusal.line, refusal.column) from None
        if self._compiled.return_type() != cel.Type.BOOL:
            raise ExpressionError(
                f"its value is {self._compiled.return_type().name()}, not true or false; compare "
                "it with something"
            )
        self.names = frozenset(names & named.keys())
        """The variables that it asks for."""

    def holds(self, values: Mapping[str, Any] | ItemValues | ListValues) -> bool:
        """Whether it is true of `values` by name; what goes wrong with them is no match."""
        try:
            if isinstance(values, Mapping):
                return self._compiled.eval(data=values).value() is True
            return self._compiled.eval(values.activation).value() is True
        except (RuntimeError, TypeError, ValueError):  # such as a budget of iterations exceeded
            return False


def item_condition(text: str) -> Condition:
    """Compile an expression over `ITEM_VARIABLES`. Raises `ExpressionError`."""
    return Condition(text, _ITEMS, ITEM_VARIABLES)


def list_condition(text: str) -> Condition:
    """Compile an expression over `LIST_VARIABLES`. Raises `ExpressionError`."""
    return Condition(text, _LISTS, LIST_VARIABLES)


def _pattern_fault(pattern: str) -> str | None:
    """What is wrong with a regular expression: in evaluation it would only ever be no match."""
    result = _PATTERN.eval(data={"pattern": pattern})
    return str(result.value()).partition(": ")[2] if result.type() == cel.Type.ERROR else None


def _understood(message: str) -> ExpressionError:
    """The first complaint of the compiler, with its place."""
    found = _ERROR.search(message)
    if found is None:
        detail = message.splitlines()[0] if message else "it cannot be read"
        if "recursion limit" in detail:
            return ExpressionError("it is nested too deeply; 32 levels are possible")
        if "incompatible function arguments" in detail:
            return ExpressionError("it is no text in UTF-8")
        return ExpressionError(detail)
    line, column, detail = int(found[1]), int(found[2]), found[3]
    if "max recursion depth" in detail:
        return ExpressionError("it is nested too deeply; 32 levels are possible")
    detail = detail.replace(" (in container '')", "").partition(" expecting {")[0]
    if "no matching overload" in detail and "double" in detail and "int" in detail:
        detail += "; a number that is compared with a price needs a point: 50.0"
    return ExpressionError(detail, line, column) if line > 0 else ExpressionError(detail)
