"""The demo in a terminal: rates, latency, one user's history and list, and hit rates, live."""

from __future__ import annotations

import time

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from schemas import Recommendation
from stream_app.demo.scenario import Scenario
from stream_app.demo.stream import Progress

TITLE = 38
TITLE_IN_LIST = 30
"""Characters of a title: a list with three sources fits into 112 columns without a break."""
FOCUS_S = 2.0
"""Long enough to read a list before the view turns to another user."""
LINE_S = 5.0
"""Between two lines where there is no terminal to draw on."""
RECENT = 2000
"""Latencies that the running percentiles are taken over."""


class LiveView:
    """Draws a `Progress`; on something that is no terminal it prints a line now and then."""

    def __init__(self, console: Console, scenario: Scenario, progress: Progress) -> None:
        self._console = console
        self._titles = scenario.titles
        self._progress = progress
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._focus = ""
        self._focused_at = 0.0
        self._printed_at = 0.0
        self._printed_phase = ""
        self._rate_from = (0.0, 0, 0)
        self._rates = (0.0, 0.0)

    def __enter__(self) -> LiveView:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def tick(self) -> None:
        """Draw the present state."""
        now = time.monotonic()
        self._measure(now)
        if self._console.is_terminal:
            self._live.update(self._screen(now), refresh=True)
        elif self._progress.phase != self._printed_phase or now - self._printed_at > LINE_S:
            self._printed_at, self._printed_phase = now, self._progress.phase
            self._console.print(self._line(), soft_wrap=True)

    def _measure(self, now: float) -> None:
        then, sent, lists = self._rate_from
        progress = self._progress
        if progress.sent < sent or progress.coverage.lists < lists:
            self._rate_from = (now, progress.sent, progress.coverage.lists)
        elif now - then >= 1:
            gone = now - then
            self._rates = (
                (progress.sent - sent) / gone,
                (progress.coverage.lists - lists) / gone,
            )
            self._rate_from = (now, progress.sent, progress.coverage.lists)

    def _line(self) -> str:
        progress = self._progress
        events, lists = self._rates
        p50, p99 = self._percentiles()
        return (
            f"{progress.phase}: {progress.sent}/{progress.total} events, {events:.0f} events/s, "
            f"{lists:.0f} lists/s, click to list p50 {p50:.0f} ms p99 {p99:.0f} ms"
        )

    def _percentiles(self) -> tuple[float, float]:
        latencies = self._progress.coverage.latencies_ms[-RECENT:]
        if not latencies:
            return 0.0, 0.0
        p50, p99 = np.percentile(latencies, [50, 99])
        return float(p50), float(p99)

    def _screen(self, now: float) -> Group:
        progress = self._progress
        parts: list[object] = [
            Text(self._line(), style="bold"),
            Padding(ProgressBar(max(1, progress.total), progress.sent), (0, 1)),
        ]
        if now - self._focused_at > FOCUS_S and progress.focus:
            self._focus, self._focused_at = progress.focus, now
        if self._focus in progress.last:
            parts.append(self._user(self._focus))
        if progress.scores is not None and (rates := progress.scores.rates())["predictions"]:
            parts.append(_hit_rates(rates))
        return Group(*parts)  # type: ignore[arg-type]

    def _user(self, user_id: str) -> Panel:
        progress = self._progress
        made, before = progress.last[user_id], progress.previous.get(user_id)
        body = Table.grid(padding=(0, 2))
        recent = [self._title(item) for item in reversed(progress.recent.get(user_id, ()))]
        body.add_row(_column("just had", recent), self._list(made, before))
        return Panel(body, title=f"user {user_id}", title_align="left")

    def _list(self, made: Recommendation, before: Recommendation | None) -> Table:
        ranks = {item.item_id: item.rank for item in before.items} if before else {}
        table = Table(box=None, pad_edge=False)
        table.add_column("now recommended", no_wrap=True)
        table.add_column("was", justify="right", width=3, no_wrap=True)
        table.add_column("because")
        for item in made.items:
            rank = ranks.get(item.item_id)
            was = "new" if rank is None else "=" if rank == item.rank else str(rank)
            style = "green" if rank is None else ""
            title = self._title(item.item_id, TITLE_IN_LIST)
            table.add_row(title, was, ", ".join(item.sources), style=style)
        return table

    def _title(self, item_id: str, most: int = TITLE) -> str:
        title = self._titles.get(item_id, item_id)
        return title if len(title) <= most else title[: most - 1] + "…"


def _column(head: str, lines: list[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(head, width=TITLE)
    for line in lines:
        table.add_row(line)
    return table


def _hit_rates(rates: dict[str, float | int]) -> Table:
    table = Table(box=None, pad_edge=False, title_justify="left")
    table.add_column("hit rate@10 against the user's next event")
    table.add_column(f"{rates['predictions']} predictions", justify="right")
    table.add_row("these lists", f"{rates['hit_rate_at_10']:.4f}", style="bold")
    table.add_row("transition counts", f"{rates['transition_hit_rate_at_10']:.4f}")
    table.add_row("decayed popularity", f"{rates['popularity_hit_rate_at_10']:.4f}")
    return table
