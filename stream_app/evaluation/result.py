"""What an evaluation found, as it is written to JSON; docs/evaluation.md describes the fields.

Fields are only added, with defaults, so that a file of an older release can still be read.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from stream_app.evaluation.errors import EvaluationError

SCHEMA_VERSION = 1


class Estimate(msgspec.Struct, frozen=True):
    """A figure with its confidence interval; null where nothing could be measured."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Scope(msgspec.Struct, frozen=True):
    """A part of the questions that figures are given for."""

    name: str
    """`all`, `new`, `returning`, `cold`, `warm`, or `history:5-9` for so many known events."""
    questions: int
    users: int
    targets: int


class MethodResult(msgspec.Struct, frozen=True):
    """The figures of one method."""

    name: str
    figures: dict[str, dict[str, Estimate]]
    """By scope, then by metric, such as `ndcg@10`."""
    fit_seconds: float | None = None
    """Null for lists from elsewhere."""
    list_seconds: float | None = None
    note: str = ""


class Difference(msgspec.Struct, frozen=True):
    """How much better `first` is than `second` over all questions, paired by user."""

    metric: str
    first: str
    second: str
    difference: Estimate


class Setup(msgspec.Struct, frozen=True):
    """What was asked and of what data."""

    source: str
    protocol: str
    repeats: bool
    k: list[int]
    seed: int
    events: int
    users: int
    items: int
    train_events: int
    validation_events: int
    replicates: int
    level: float
    diversity_by: str
    """What the distance of two items is made from: `categories` or `users`."""


class Result(msgspec.Struct, frozen=True):
    """A whole evaluation."""

    setup: Setup
    scopes: list[Scope]
    methods: list[MethodResult]
    differences: list[Difference]
    schema_version: int = SCHEMA_VERSION

    def method(self, name: str) -> MethodResult:
        """The result of the method called `name`; `KeyError` where there is none."""
        for one in self.methods:
            if one.name == name:
                return one
        raise KeyError(name)

    def value(self, method: str, metric: str, scope: str = "all") -> float | None:
        """One figure, such as `value("transitions", "ndcg@10")`."""
        return self.method(method).figures[scope][metric].value


def write_json(result: Result, path: Path) -> None:
    """Write `result`, indented; raises `EvaluationError` when it cannot."""
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    except OSError as error:
        raise EvaluationError(f"cannot write {path}: {error}") from error


def read_json(path: Path) -> Result:
    """Read what `write_json` wrote; raises `EvaluationError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Result)
    except (OSError, msgspec.MsgspecError) as error:
        raise EvaluationError(f"{path}: not a result of stream-app evaluate: {error}") from error
