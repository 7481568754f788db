"""The report of an evaluation: one HTML file with its plots in it, and nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from stream_app.evaluation.errors import EvaluationError
from stream_app.evaluation.judge import ALL, COMPARED
from stream_app.evaluation.plots import beyond_plot, groups_plot, intervals_plot
from stream_app.evaluation.result import Estimate, Result, Scope

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff;
       max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.2; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
.wide { margin-bottom: 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #e5e5e5;
         white-space: nowrap; vertical-align: top; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 7rem;
         overflow-wrap: anywhere; }
thead th { border-bottom: 2px solid #888; }
small { color: #555; display: block; } .best { font-weight: 700; }
.better { background: #e3f4ec; } .worse { background: #fbe9e2; }
svg { max-width: 100%; height: auto; } figure { margin: 1rem 0; } p, li { max-width: 44rem; }
"""

TITLES = {"hr": "HR", "ndcg": "NDCG", "mrr": "MRR"}
MAIN = ("ndcg", "hr", "mrr", "recall")
BEYOND = ("coverage", "novelty", "diversity")


def write_page(result: Result, path: Path) -> None:
    """Write the report; raises `EvaluationError` where it cannot, or matplotlib is missing."""
    text = page(result)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EvaluationError(f"cannot write {path}: {error}") from error


def page(result: Result) -> str:
    """The report as HTML."""
    k = result.setup.k[0]
    parts = [
        f"<h1>{escape(result.setup.source)}: {escape(result.setup.protocol)}</h1>",
        _setup(result),
        "<h2>Accuracy</h2>",
        _intervals_note(result),
        *(_accuracy(result, each) for each in result.setup.k),
        *(_figure(intervals_plot(result, f"{metric}@{k}")) for metric in COMPARED),
        "<h2>Differences</h2>",
        "<p>Row minus column, paired by user. Shaded where the interval leaves out 0.</p>",
        *(_differences(result, f"{metric}@{k}") for metric in COMPARED),
        "<h2>Groups</h2>",
        _groups(result, f"ndcg@{k}"),
        "<h2>Beyond accuracy</h2>",
        _beyond(result, k),
        _figure(beyond_plot(result, f"ndcg@{k}", f"coverage@{k}")),
        "<h2>Time</h2>",
        _times(result),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(result.setup.source)}</title>\n<style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _setup(result: Result) -> str:
    setup, asked = result.setup, result.scopes[0]
    seen = "may be recommended again" if setup.repeats else "are not ranked, and not asked for"
    return (
        f"<p>{setup.events:,} events of {setup.users:,} users on {setup.items:,} items: "
        f"{setup.train_events:,} to train on, {setup.validation_events:,} to validate. "
        f"{asked.questions:,} questions of {asked.users:,} users, each ranked over all items; "
        f"items that the user had before {seen}. Seed {setup.seed}.</p>"
    )


def _intervals_note(result: Result) -> str:
    setup = result.setup
    return (
        f"<p>Small figures are {setup.level:.0%} intervals from {setup.replicates:,} bootstrap "
        "draws of users. Overlapping intervals do not mean that two methods are equal: see the "
        "differences.</p>"
    )


def _accuracy(result: Result, k: int) -> str:
    asked = result.scopes[0]
    # With one wanted item a question, recall is the hit rate.
    names = MAIN if asked.targets > asked.questions else MAIN[:-1]
    metrics = [f"{name}@{k}" for name in names]
    return _table(
        ["method", *map(_title, metrics)],
        [
            [escape(method.name), *(_cell(result, method.name, metric) for metric in metrics)]
            for method in result.methods
        ],
    )


def _cell(result: Result, method: str, metric: str, scope: str = ALL) -> str:
    """A figure with its interval; the highest of all methods in bold."""
    estimate = result.method(method).figures.get(scope, {}).get(metric)
    if estimate is None or estimate.value is None:
        return "-"
    values = [one.figures.get(scope, {}).get(metric) for one in result.methods]
    best = max(one.value for one in values if one is not None and one.value is not None)
    text = f"{estimate.value:.4f}"
    if estimate.value == best > 0:
        text = f"<span class=best>{text}</span>"
    return text + _bounds(estimate)


def _bounds(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f"<small>{estimate.low:.4f} to {estimate.high:.4f}</small>"


def _differences(result: Result, metric: str) -> str:
    """A matrix: how much the method of the row is better than the one of the column."""
    found: dict[tuple[str, str], Estimate] = {}
    for one in result.differences:
        if one.metric == metric:
            found[one.first, one.second] = one.difference
            found[one.second, one.first] = _reversed(one.difference)
    names = [method.name for method in result.methods]
    if len(names) < 2:
        return ""
    rows = [
        [escape(row), *(_signed(found.get((row, column))) for column in names)] for row in names
    ]
    return _table([_title(metric), *map(escape, names)], rows)


def _reversed(estimate: Estimate) -> Estimate:
    value, low, high = (
        None if bound is None else -bound for bound in (estimate.value, estimate.high, estimate.low)
    )
    return Estimate(value, low, high)


def _signed(estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None or estimate.low is None or estimate.high is None:
        return ""
    shade = "better" if estimate.low > 0 else "worse" if estimate.high < 0 else ""
    bounds = f"<small>{estimate.low:+.4f} to {estimate.high:+.4f}</small>"
    return f"<span class={shade or 'same'}>{estimate.value:+.4f}{bounds}</span>"


def _groups(result: Result, metric: str) -> str:
    scopes = result.scopes[1:]
    if not scopes:
        return "<p>All questions are of one kind.</p>"
    table = _table(
        [_title(metric), *map(_heading, scopes)],
        [
            [escape(one.name), *(_cell(result, one.name, metric, scope.name) for scope in scopes)]
            for one in result.methods
        ],
    )
    note = (
        "<p><b>history</b>: events known when asked. <b>new</b>: users without an event before the "
        "test period. <b>cold</b>: wanted items that nobody had before it.</p>"
    )
    plot = groups_plot(result, metric, [scope.name for scope in scopes])
    return note + table + _figure(plot)


def _heading(scope: Scope) -> str:
    return f"{escape(scope.name)}<small>{scope.targets:,} wanted, {scope.users:,} users</small>"


def _beyond(result: Result, k: int) -> str:
    made_from = {"users": "the users they share", "categories": "their categories"}
    by = made_from.get(result.setup.diversity_by, escape(result.setup.diversity_by))
    note = (
        "<p><b>Coverage</b>: share of all items that any list shows. <b>Novelty</b>: mean "
        "self-information of the items shown, in bits. <b>Diversity</b>: mean distance (1 - cosine)"
        f" between the items of a list, by {by}.</p>"
    )
    metrics = [f"{metric}@{k}" for metric in BEYOND]
    rows = [
        [escape(one.name), *(_cell(result, one.name, metric) for metric in metrics)]
        for one in result.methods
    ]
    return note + _table(["method", *map(_title, metrics)], rows)


def _times(result: Result) -> str:
    rows = [
        [
            escape(one.name),
            *("-" if s is None else f"{s:,.1f} s" for s in (one.fit_seconds, one.list_seconds)),
            escape(one.note),
        ]
        for one in result.methods
    ]
    return _table(["method", "learning", "lists", "note"], rows)


def _title(metric: str) -> str:
    name, _, k = metric.partition("@")
    return f"{TITLES.get(name, name.capitalize())}@{k}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already, in a box that scrolls where it is too wide."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "\n".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows)
    return (
        f"<div class=wide><table><thead><tr>{top}</tr></thead>"
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _figure(svg: str) -> str:
    return f"<figure>{svg}</figure>"
