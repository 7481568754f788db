"""Freshness and flow: do lists follow events at once, and does everything come through?"""

from __future__ import annotations

from dashboards import panels
from dashboards.panels import RATE, RED, YELLOW, Query, Row, figure, heat, lines, or_none, quantile

LATENCY = "stream_app_feedback_to_recommendation_seconds"
ANSWERS = "stream_app_request_to_recommendation_seconds"


NOW = Row(
    "Now",
    [
        figure(
            "Lists within 100 ms",
            f'sum(rate({LATENCY}_bucket{{%s,le="0.1"}}[5m])) / '
            f"sum(rate({LATENCY}_count{{%s}}[5m]))",
            "Share of the events of the last 5 minutes whose list was there within 100 ms. The "
            "objective is 99 %. Below it: look at the lag beside it. With lag, workers are the "
            "bottleneck or one has stopped; without, look at the stages in Workers and Kafka.",
            unit="percentunit", low=RED, steps=[(0.95, YELLOW), (0.99, "green")],
        ),
        figure(
            "Click to list, p99",
            quantile(0.99, LATENCY, window="5m").expr,
            "99 % of the events of the last 5 minutes had their list sooner than this. Normal: 20 "
            "to 60 ms. 1 s or more is a backlog: lists do not know the last click yet.",
            unit="s", steps=[(0.1, YELLOW), (0.5, RED)],
        ),
        figure(
            "Events",
            'sum(rate(stream_app_events_total{%s,outcome=~"applied|late"}[5m]))',
            "Events that changed a user's row, a second. Compare with what your producers send. A "
            "fall to 0 while the lag is 0 is theirs: nothing arrives on Kafka.",
            unit="eps",
        ),
        figure(
            "Lists",
            "sum(rate(stream_app_recommendations_total{%s}[5m]))",
            "Lists published, a second, after events and for requests. Fewer than events is "
            "normal: events of one user that are handled together share a list. 0 with events: "
            "look at dead letters.",
            unit="eps",
        ),
        figure(
            "Events that wait",
            "sum(stream_app_consumer_lag{%s})",
            "Events not committed yet. Offsets are committed once a second, so about half of what "
            "arrives in a second is normal. It must fall after a restart. If it grows, add "
            "workers, up to the number of partitions.",
            unit="short", steps=[(1000, YELLOW), (10000, RED)], empty="no worker",
        ),
        figure(
            "Alerts firing",
            'count(ALERTS{%a,alertstate="firing",alertname=~"StreamApp.+"}) or on() vector(0)',
            "Alerts of stream-app that fire now. Above 0: the panel at the end of this page names "
            "them, docs/runbooks.md says what to do. Without the rules in deploy/prometheus/rules "
            "it stays at 0.",
            unit="short", steps=[(1, RED)],
        ),
    ],
)  # fmt: skip

FRESHNESS = Row(
    "Freshness",
    [
        lines(
            "Click to list",
            [quantile(share, LATENCY) for share in (0.5, 0.95, 0.99)],
            "From the append of an event on Kafka to the broker's acknowledgement of the list that "
            "covers it. The dashed line is the objective. p50 rises with p99: load. Only p99: "
            "rebalances, slow acknowledgements of the broker, or large batches of one worker.",
            unit="s", steps=[(0.1, RED)],
        ),
        heat(
            "Click to list, all events",
            f"sum by (le) (increase({LATENCY}_bucket{{%s}}[{RATE}]))",
            "Each column is a moment, each row a range of times, the colour how many events. One "
            "band is normal. A second band above it: some partitions or one worker are late, and "
            "an average would hide them.",
            unit="s",
        ),
        lines(
            "How fast the error budget burns",
            [
                Query(
                    f"max(stream_app:freshness_misses:ratio_rate{window}{{%s}}) / 0.01",
                    f"last {window}",
                )
                for window in ("5m", "1h", "6h", "3d")
            ],
            "Late events as a multiple of the 1 % that the objective allows. 1 uses the budget up "
            "exactly; below is normal. Above 14.4 for an hour the fast alert fires (lower line: 6, "
            "for six hours). A short peak of the 5 minutes alone is a restart: wait.",
            unit="none", steps=[(6, YELLOW), (14.4, RED)],
        ),
        lines(
            "Request to answer",
            [quantile(share, ANSWERS) for share in (0.5, 0.99)],
            "From the append of a request (topic, gateway, stream-app request) to its answer. "
            "Normal: as click to list. Services see their own time on top. Empty without requests.",
            unit="s", steps=[(0.25, RED)],
        ),
    ],
)  # fmt: skip

FLOW = Row(
    "Flow",
    [
        lines(
            "Messages by topic",
            [Query(f"sum by (topic) (rate(stream_app_events_total{{%s}}[{RATE}]))", "{{topic}}")],
            "What workers have handled, a second, with whatever outcome. A topic that falls to 0 "
            "has lost its producer; one that doubles has a producer that sends twice.",
            unit="eps", stack=True,
        ),
        lines(
            "Messages that changed nothing, or came late",
            [
                Query(
                    "sum by (outcome) (rate(stream_app_events_total"
                    f'{{%s,outcome!~"applied|answered"}}[{RATE}])) {or_none("outcome")}',
                    "{{outcome}}",
                )
            ],
            "duplicate: a producer sent an event_id again (harmless). replayed: read again after a "
            "failure, not applied again (normal for a moment after one). late: older than what was "
            "known, put in its place. dead_letter and too_late: a producer to mend. expired: "
            "services wait less long than workers need.",
            unit="eps", stack=True,
        ),
        lines(
            "Events that wait, by topic",
            [Query("sum by (topic) (stream_app_consumer_lag{%s})", "{{topic}}")],
            "Events not committed yet. Normal: flat and low, with a peak at each restart. A ramp "
            "that does not end: more arrives than workers do. One topic only: its partitions "
            "have no worker or one that is stuck; see Workers and Kafka.",
            unit="short",
        ),
        lines(
            "Longest time without a commit",
            [Query("max by (topic) (stream_app_commit_age_seconds{%s})", "{{topic}}")],
            "Seconds since a partition with waiting events committed one. Normal: below 2 s, some "
            "seconds in a rebalance. At 30 s the watchdog ends the worker, with the reason in "
            "its log; above 20 s again and again the alert fires.",
            unit="s", steps=[(20, RED)],
        ),
        lines(
            "Dead letters by reason",
            [
                Query(
                    f"sum by (reason) (rate(stream_app_dead_letters_total{{%s}}[{RATE}]))",
                    "{{reason}}",
                )
            ],
            "Rejected messages, a second. Normal: 0. stream-app dead-letters list shows them with "
            "the reason; after the producer is mended, dead-letters replay sends them again. "
            "processing_error is ours: the row of a user cannot be read.",
            unit="eps", stack=True,
        ),
        lines(
            "Events that share a list",
            [
                Query(
                    f"sum(rate(stream_app_coalesced_total{{%s}}[{RATE}])) / "
                    f'sum(rate(stream_app_events_total{{%s,outcome=~"applied|late"}}[{RATE}]))',
                    "share of the events",
                )
            ],
            "Events whose list also covers a later event of the same user. Low is normal. It rises "
            "in a backlog, which is how workers catch up: users miss lists between, none at "
            "the end. High all day: workers are always behind, add some.",
            unit="percentunit",
        ),
    ],
)  # fmt: skip

ALERTS = Row(
    "Alerts and erasure",
    [
        figure(
            "Alerts by name",
            'count by (alertname, severity) (ALERTS{%a,alertstate="firing",'
            f'alertname=~"StreamApp.+"}}) {or_none("alertname")}',
            "Alerts of stream-app that fire now, and how many of each. docs/runbooks.md has a "
            "section of each name: what it means, what to do, how to know that it is over.",
            unit="none", name="{{alertname}} {{severity}}", steps=[(1, RED)], width=12,
        ),
        figure(
            "Erasures today",
            "sum(increase(stream_app_erasures_total{%s}[1d]))",
            "Requests for erasure that got a receipt within 24 hours. Compare with what was asked "
            "for: one without a receipt is on dead-letters, or waits for its partition.",
            unit="short", width=6,
        ),
        figure(
            "Dead letters today",
            "sum(increase(stream_app_dead_letters_total{%s}[1d]))",
            "Rejected messages of 24 hours. None is lost: they are kept in dead-letters for as "
            "long as that topic keeps them, and can be sent again until then.",
            unit="short", steps=[(1, YELLOW)], width=6,
        ),
    ],
)  # fmt: skip


def dashboard(uid: str) -> str:
    return panels.dashboard(
        uid,
        "Freshness and flow",
        "Does a list follow each event at once, and does everything come through? Begin here.",
        [NOW, FRESHNESS, FLOW, ALERTS],
    )
