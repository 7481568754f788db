"""The figures of a finished demo: as one JSON line for programs, as a table for people."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from stream_app.demo.audit import Audit
from stream_app.demo.stream import Progress


def summarise(progress: Progress, audit: Audit, history_events: int) -> dict[str, Any]:
    """All figures of a demo. Latencies are milliseconds from sending an event to receiving the
    first list that covers it; counts are of the streamed part, without the history before it.
    """
    coverage, scores = progress.coverage, progress.scores
    p50, p95, p99 = np.percentile(coverage.latencies_ms or [0.0], [50, 95, 99])
    streamed = progress.phase == "stream"  # a demo that gave up may not have come that far
    applied = max(0, audit.applied - history_events)
    models = (made.model for made in progress.last.values())
    groups: dict[str, Any] = {}
    if scores is not None:
        groups = {
            **scores.rates(),
            "returning_users": scores.rates("returning"),
            "new_users": scores.rates("new"),
        }
    return {
        "events": progress.sent if streamed else 0,
        "applied": applied,
        "recommendations": coverage.lists,
        "coalesced": len(coverage.latencies_ms) - coverage.lists,
        "dead_letters": audit.dead_letters,
        "lost": audit.lost,
        "duplicated": audit.duplicated,
        "latency_ms": {
            "p50": round(float(p50), 1),
            "p95": round(float(p95), 1),
            "p99": round(float(p99), 1),
        },
        **groups,
        "history_events": history_events,
        "release": next((f"{m.name}@{m.version}" for m in models), None),
    }


def print_summary(console: Console, figures: dict[str, Any]) -> None:
    """The same for people."""
    table = Table(title="what happened", title_justify="left", show_header=False)
    latency = figures["latency_ms"]
    table.add_row("events streamed, applied", f"{figures['events']}, {figures['applied']}")
    table.add_row("lost, duplicated", f"{figures['lost']}, {figures['duplicated']}")
    table.add_row("dead letters", str(figures["dead_letters"]))
    table.add_row(
        "lists; events that share one", f"{figures['recommendations']}; {figures['coalesced']}"
    )
    table.add_row(
        "click to list, ms",
        f"p50 {latency['p50']}, p95 {latency['p95']}, p99 {latency['p99']}",
    )
    console.print(table)
    rates = Table(title="hit rate@10 against the next event", title_justify="left")
    for column in ("users", "predictions", "these lists", "transition counts", "popularity"):
        rates.add_column(column, justify="left" if column == "users" else "right")
    for name, group in (
        ("all", figures),
        ("with a past", figures["returning_users"]),
        ("new", figures["new_users"]),
    ):
        rates.add_row(
            name,
            str(group["predictions"]),
            f"{group['hit_rate_at_10']:.4f}",
            f"{group['transition_hit_rate_at_10']:.4f}",
            f"{group['popularity_hit_rate_at_10']:.4f}",
        )
    console.print(rates)
