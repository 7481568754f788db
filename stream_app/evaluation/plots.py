"""Plots of an evaluation as SVG text, made with matplotlib (extra `evaluate`).

Names come from users: they are drawn as they are, never read as formulas, and escaped by the SVG
writer. The same result gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from stream_app.evaluation.errors import EvaluationError
from stream_app.evaluation.judge import ALL
from stream_app.evaluation.result import Estimate, Result

WIDTH = 5.8  # inches; the page scales it down to its own width
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999999",
)  # fmt: skip
"""Okabe and Ito's palette, which colour-blind readers can tell apart; used in turn."""
MARKS = "osD^vPX*"


def intervals_plot(result: Result, metric: str) -> str:
    """The figure of every method over all questions, with its interval; the best on top."""
    rows = [(one.name, one.figures[ALL][metric]) for one in result.methods]
    rows.sort(key=lambda row: row[1].value or 0.0)
    figure, axes = _figure(0.9 + 0.32 * len(rows))
    for at, (_, estimate) in enumerate(rows):
        _bar(axes, at, estimate, COLOURS[0])
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], parse_math=False)
    axes.set_xlabel(metric)
    axes.set_xlim(left=0)
    return _svg(figure, f"intervals {metric}")


def groups_plot(result: Result, metric: str, names: Sequence[str]) -> str:
    """The figure of every method in some groups of questions, side by side."""
    figure, axes = _figure(3.6)
    for at, method in enumerate(result.methods):
        points = [
            (place, method.figures[name][metric].value)
            for place, name in enumerate(names)
            if metric in method.figures.get(name, {})
        ]
        shift = (at - (len(result.methods) - 1) / 2) * 0.6 / max(len(result.methods), 1)
        axes.plot(
            [place + shift for place, _ in points],
            [value for _, value in points],
            MARKS[at % len(MARKS)],
            color=COLOURS[at % len(COLOURS)],
            label=_plain(method.name),
            markersize=5,
        )
    axes.set_xticks(range(len(names)), names, rotation=20, ha="right")
    axes.set_ylabel(metric)
    axes.set_ylim(bottom=0)
    legend = axes.legend(ncols=3, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    for text, method in zip(legend.get_texts(), result.methods, strict=True):
        text.set_parse_math(False)
        text.set_text(method.name)
    return _svg(figure, f"groups {metric}")


def beyond_plot(result: Result, metric: str, other: str) -> str:
    """Accuracy against another property of the lists, a point for each method."""
    figure, axes = _figure(3.4)
    for at, method in enumerate(result.methods):
        figures = method.figures[ALL]
        x, y = figures[other].value, figures[metric].value
        if x is not None and y is not None:
            axes.plot([x], [y], MARKS[at % len(MARKS)], color=COLOURS[at % len(COLOURS)])
            axes.annotate(
                method.name, (x, y), (4, 4), textcoords="offset points", fontsize=8,
                parse_math=False,
            )  # fmt: skip
    axes.set_xlabel(other)
    axes.set_ylabel(metric)
    axes.margins(x=0.15, y=0.1)
    return _svg(figure, f"beyond {metric} {other}")


def _bar(axes: Any, at: int, estimate: Estimate, colour: str) -> None:
    if estimate.value is not None:
        axes.plot([estimate.value], [at], "o", color=colour)
        if estimate.low is not None and estimate.high is not None:
            axes.plot([estimate.low, estimate.high], [at, at], color=colour, linewidth=2)


def _plain(name: str) -> str:
    """A label that a legend takes: it leaves out empty ones and those that begin with `_`."""
    return "x" + name


def check_matplotlib() -> None:
    """Raise `EvaluationError` where matplotlib is missing: better before a long run than after."""
    if find_spec("matplotlib") is None:
        raise EvaluationError(
            "the report's plots need matplotlib: pip install 'stream-app[evaluate]', or leave "
            "--out away and write --json"
        )


def _figure(height: float) -> tuple[Any, Any]:
    check_matplotlib()
    figure = import_module("matplotlib.figure").Figure(
        figsize=(WIDTH, height), layout="constrained"
    )
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="both", color="#e5e5e5")
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Any, name: str) -> str:
    """The figure as an `<svg>` element; `name` keeps its ids apart from those of others."""
    settings = {"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif"}
    drawn = io.StringIO()
    with import_module("matplotlib").rc_context(settings):
        figure.savefig(drawn, format="svg", metadata={"Date": None}, transparent=True)
    text = drawn.getvalue()
    return text[text.index("<svg") :]
