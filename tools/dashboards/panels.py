"""Panels and dashboards in few words; the names of Grafana's fields are the SDK's business.

The SDK knows fields and no meaning, so tests/unit/deploy/test_dashboards.py checks what comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from grafana_foundation_sdk.builders import common, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as style
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

TAG = "stream-app"
WIDTH = 24
"""Cells of a line of Grafana's grid."""
SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
SCOPES = {
    "%s": 'namespace=~"$namespace",job=~"$job"',
    "%a": 'namespace=~"$namespace",job=~"$job|"',
    "%w": 'namespace=~"$namespace",job=~"$job",instance=~"$instance"',
}
"""In expressions: an installation, its alerts (that nobody serves may name no job), its workers."""
RATE = "$__rate_interval"
GREEN, YELLOW, RED = "green", "yellow", "red"
LATEST = ["lastNotNull"]

Step = tuple[float, str]
"""From this value on, this colour."""


class Query(NamedTuple):
    """An expression, and the name of a series of it: `{{label}}` is the value of a label."""

    expr: str
    name: str


class Panel(NamedTuple):
    """A panel of a size in cells, not placed yet."""

    panel: Any
    width: int
    height: int


class Row(NamedTuple):
    """Panels under a headline."""

    title: str
    panels: Sequence[Panel]


def or_none(label: str) -> str:
    """Put after an expression that is rightly empty: one series with 0, named `none`."""
    return f'or on() label_replace(vector(0), "{label}", "none", "", "")'


def quantile(share: float, metric: str, matchers: str = "%s", window: str = RATE) -> Query:
    """A quantile of a histogram."""
    buckets = f"sum by (le) (rate({metric}_bucket{{{matchers}}}[{window}]))"
    return Query(f"histogram_quantile({share}, {buckets})", f"p{share * 100:g}")


def figure(
    title: str, expr: str, about: str, *, unit: str, steps: Sequence[Step] = (), low: str = GREEN,
    empty: str = "no events", name: str = "", width: int = 4,
) -> Panel:  # fmt: skip
    """The newest value, large; `low` is the colour below all `steps`.

    With a `name`, one of each series beside its name. `empty` is said where there is no number.
    """
    panel = (
        stat.Panel()
        .color_mode(style.BigValueColorMode.VALUE if steps else style.BigValueColorMode.NONE)
        .graph_mode(style.BigValueGraphMode.NONE if name else style.BigValueGraphMode.AREA)
        .text_mode(style.BigValueTextMode.VALUE_AND_NAME if name else style.BigValueTextMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(LATEST))
        .mappings([_no_number(empty)])
        .no_value(empty)
    )
    if unit in ("none", "short"):
        panel.decimals(0)  # counts, of which rates make fractions
    return _finish(panel, title, about, unit, [Query(expr, name or title)], steps, low, width, 4)


def lines(
    title: str, queries: Sequence[Query], about: str, *, unit: str, steps: Sequence[Step] = (),
    stack: bool = False, width: int = 12,
) -> Panel:  # fmt: skip
    """Values over time; `stack` puts series on each other."""
    panel = (
        timeseries.Panel()
        .min(0)
        .line_width(1)
        .fill_opacity(40 if stack else 0)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(style.LegendDisplayMode.TABLE)
            .placement(style.LegendPlacement.BOTTOM)
            .calcs([*LATEST, "max"])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(style.TooltipDisplayMode.MULTI)
            .sort(style.SortOrder.DESCENDING)
        )
    )
    if stack:
        panel.stacking(common.StackingConfig().mode(style.StackingMode.NORMAL).group("A"))
    if steps:
        dashed = style.GraphThresholdsStyleMode.DASHED
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(dashed))
    return _finish(panel, title, about, unit, queries, steps, "transparent", width, 9)


def heat(title: str, expr: str, about: str, *, unit: str, width: int = 12) -> Panel:
    """The buckets of a histogram over time; the expression gives one series for each `le`."""
    panel = (
        heatmap.Panel()
        .calculate(False)
        .show_value(style.VisibilityMode.NEVER)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .steps(64)
            .exponent(0.5)
            .fill("dark-orange")
        )
        .show_color_scale(True)
        .y_axis(heatmap.YAxisConfig().unit(unit))
    )
    return _finish(panel, title, about, unit, [Query(expr, "{{le}}")], (), GREEN, width, 9)


def _finish(
    panel: Any, title: str, about: str, unit: str, queries: Sequence[Query],
    steps: Sequence[Step], low: str, width: int, height: int,
) -> Panel:  # fmt: skip
    """What all panels have."""
    panel.title(title).description(about).unit(unit).datasource(SOURCE)
    levels = [model.Threshold(None, low), *(model.Threshold(*step) for step in steps)]
    panel.thresholds(build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(levels))
    buckets = isinstance(panel, heatmap.Panel)
    for number, query in enumerate(queries):
        expr = query.expr
        for short, scope in SCOPES.items():
            expr = expr.replace(short, scope)
        panel.with_target(
            prometheus.Dataquery()
            .datasource(SOURCE)
            .ref_id(chr(ord("A") + number))
            .expr(" ".join(expr.split()))
            .legend_format(query.name)
            .format(PromQueryFormat.HEATMAP if buckets else PromQueryFormat.TIME_SERIES)
            .range()
        )
    return Panel(panel, width, height)


def _no_number(text: str) -> model.SpecialValueMap:
    """NaN is shown as `text`: a share of nothing."""
    result = model.ValueMappingResult(text=text, color="text", index=0)
    options = model.DashboardSpecialValueMapOptions(model.SpecialValueMatch.NA_N, result)
    return model.SpecialValueMap(options)


def dashboard(uid: str, title: str, about: str, rows: Sequence[Row], workers: bool = False) -> str:
    """The JSON of a dashboard, panels from left to right and from top to bottom.

    With `workers`, some of them can be chosen. Raises `ValueError` when a line has gaps.
    """
    made = (
        build.Dashboard(title)
        .uid(uid)
        .description(about)
        .tags([TAG])
        .editable()
        .time("now-1h", "now")
        .refresh("10s")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(
            build.DashboardLink("stream-app")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .keep_time(True)
            .include_vars(True)
        )
        .variables(_variables(workers))
    )
    number, y = 1, 0
    for row in rows:
        made.with_row(
            build.Row(row.title).id(number).grid_pos(model.GridPos(h=1, w=WIDTH, x=0, y=y))
        )
        number, x, y = number + 1, 0, y + 1
        for panel, width, height in row.panels:
            if x + width > WIDTH:
                raise ValueError(f"{title}, {row.title}: a line is {x + width} cells wide")
            panel.id(number).grid_pos(model.GridPos(h=height, w=width, x=x, y=y))
            made.with_panel(panel)
            number, x = number + 1, x + width
            if x == WIDTH:
                x, y = 0, y + height
        if x:
            raise ValueError(f"{title}, {row.title}: the last line is only {x} cells wide")
    return JSONEncoder(sort_keys=True, indent=1).encode(made.build()) + "\n"


def _variables(workers: bool) -> list[Any]:
    # A Grafana that shows panels before it has looked for values takes what `current` says.
    source = (
        build.DatasourceVariable("datasource")
        .label("Prometheus")
        .type("prometheus")
        .current(model.VariableOption(True, "Prometheus", "prometheus"))
    )
    found = [source, _choice("namespace", "Namespace", "stream_app_ready").all_value(".*")]
    # Without a value for all: other programs have metrics of a process as well.
    found.append(_choice("job", "Job", 'stream_app_ready{namespace=~"$namespace"}'))
    if workers:
        found.append(_choice("instance", "Worker", f"stream_app_ready{{{SCOPES['%s']}}}"))
    return found


def _choice(name: str, label: str, metric: str) -> Any:
    return (
        build.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(f"label_values({metric}, {name})")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.NATURAL_ASC)
        .multi(True)
        .include_all(True)
        .current(model.VariableOption(True, ["All"], ["$__all"]))
    )
