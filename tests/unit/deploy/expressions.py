"""The expressions of dashboards and alerts, and what is in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml

ROOT = Path(__file__).parents[3]
DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"
RULES = ROOT / "deploy" / "prometheus" / "rules"
COMPARISONS = {"==", "!=", ">", "<", ">=", "<="}
SETS = {"and", "or", "unless"}


def dashboards() -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text("utf-8")) for path in DASHBOARDS.glob("*.json")}


def panels(dashboard: Any) -> list[Any]:
    """Panels that show something: all but headlines."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def rules() -> list[Any]:
    """All recording rules and alerts."""
    files = [yaml.safe_load(path.read_text("utf-8")) for path in sorted(RULES.glob("*.yml"))]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def alerts() -> list[Any]:
    return [rule for rule in rules() if "alert" in rule]


def filled_in(expr: str, **variables: str) -> str:
    """An expression of a panel as Grafana sends it: all of everything."""
    for name, value in {"__rate_interval": "1m", "namespace": ".*", **variables}.items():
        expr = expr.replace(f"${name}", value)
    assert "$" not in expr, expr
    return expr


def without_thresholds(expr: str) -> list[str]:
    """What an alert looks at: expressions that give something also while nothing is wrong."""
    return [str(part) for part in _compared(promql.parse(expr))]


def _compared(expr: Any) -> Iterator[Any]:
    match expr:
        case promql.ParenExpr():
            yield from _compared(expr.expr)
        case promql.BinaryExpr() if str(expr.op) in SETS:
            yield from _compared(expr.lhs)
            yield from _compared(expr.rhs)
        case promql.BinaryExpr() if str(expr.op) in COMPARISONS:
            yield expr.lhs
            if not isinstance(expr.rhs, promql.NumberLiteral):
                yield expr.rhs
        case promql.Call() if expr.func.name == "absent":
            yield from expr.args
        case _:
            yield expr


def metrics_of(expr: str) -> set[str]:
    """The names of metrics in an expression."""
    return set(_metrics(promql.parse(expr)))


def _metrics(expr: Any) -> Iterator[str]:
    if isinstance(expr, promql.VectorSelector):
        assert expr.name is not None
        yield expr.name
    for name in ("expr", "lhs", "rhs", "vector_selector", "vs", "param"):
        child = getattr(expr, name, None)
        if child is not None and not isinstance(child, str | float):
            yield from _metrics(child)
    for child in getattr(expr, "args", None) or ():
        yield from _metrics(child)
