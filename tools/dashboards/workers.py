"""Workers and Kafka: is every worker well, has it room left, and does Kafka answer?"""

from __future__ import annotations

from dashboards import panels
from dashboards.panels import GREEN, RATE, RED, YELLOW, Query, Row, figure, lines, quantile

NOW = Row(
    "Now",
    [
        figure(
            "Workers that serve",
            "sum(stream_app_ready{%s})",
            "Workers that consume events. Fewer than were started: the others recover (wait), are "
            "spares without partitions (fine), or fail: stream-app health on their machine says.",
            unit="none", low=RED, steps=[(1, GREEN)], empty="none",
        ),
        figure(
            "Workers that do not answer",
            "count(up{%s} == 0) or on() vector(0)",
            "Workers that Prometheus cannot reach. Above 0 for longer than a restart: look at "
            "the process and its exit code; docs/delivery.md lists them.",
            unit="none", steps=[(1, RED)],
        ),
        figure(
            "Partitions served",
            "count(count by (topic, partition) (stream_app_consumer_lag{%s})) or on() vector(0)",
            "Partitions of all topics keyed by user that have a worker. It must be constant: "
            "a part of the users has no fresh lists while it is lower.",
            unit="none", low=RED, steps=[(1, GREEN)],
        ),
        figure(
            "Starts in an hour",
            "sum(changes(process_start_time_seconds{%s}[1h]))",
            "How often workers were started again within an hour. A rollout counts once for each "
            "worker. More: the last lines of a worker's log say why it ended.",
            unit="none", steps=[(1, YELLOW), (10, RED)], empty="no worker",
        ),
        figure(
            "Rebalances in an hour",
            "sum(increase(stream_app_rebalances_total{%s}[1h]))",
            "How often workers got other partitions. One for each worker that comes or goes is "
            "normal. Many without restarts: workers miss their heartbeats (no processor time, "
            "a session_timeout_s that is too short, or a slow network).",
            unit="none", steps=[(10, YELLOW), (50, RED)], empty="no worker",
        ),
        figure(
            "Users",
            "sum(stream_app_users{%s})",
            "Users that have a row. It grows until as many expire (user_retention_days) as come. "
            "A fall: partitions without a worker, or a new app_id.",
            unit="short", empty="no worker",
        ),
    ],
)  # fmt: skip

ROOM = Row(
    "Room",
    [
        lines(
            "Processor time by worker",
            [Query(f"rate(process_cpu_seconds_total{{%w}}[{RATE}])", "{{instance}}")],
            "Cores in use. A worker can use about one. Above the line, 0.6, p99 passes 100 ms at "
            "the next peak: add workers, up to the number of partitions. One far above the others: "
            "its partitions hold the busiest users.",
            unit="none", steps=[(0.6, YELLOW)],
        ),
        lines(
            "Memory by worker",
            [
                Query("process_resident_memory_bytes{%w}", "{{instance}}"),
                Query("stream_app_state_bytes{%w}", "{{instance}}, rows of users"),
            ],
            "Resident memory, and how much of it rows are (an estimate). About 135 MB and 2.2 KB "
            "a user. Near the limit of the container it is killed: raise the limit, add workers, "
            "or set state_store to rocksdb. Growth without users: report it.",
            unit="bytes",
        ),
        lines(
            "Computing time of an event, by stage",
            [
                Query(
                    'sum by (stage) (rate(stream_app_stage_seconds_sum{%w,stage!="publish"}'
                    f"[{RATE}])) / ignoring(stage) group_left sum(rate("
                    f"stream_app_batch_size_sum{{%w}}[{RATE}]))",
                    "{{stage}}",
                )
            ],
            "Processor time for one event. Small batches cost more of it. retrieve grows with the "
            "catalogue, rank with sources and rules, encode with the model: what grows after a "
            "change is what the change costs.",
            unit="s", stack=True,
        ),
        lines(
            "Events handled together",
            [
                Query(
                    f"sum by (instance) (rate(stream_app_batch_size_sum{{%w}}[{RATE}])) / "
                    f"sum by (instance) (rate(stream_app_batch_size_count{{%w}}[{RATE}]))",
                    "{{instance}}",
                )
            ],
            "Mean size of a batch. Near 1: idle. Near batch_max: the worker is the bottleneck, add "
            "workers or partitions.",
            unit="none",
        ),
    ],
)  # fmt: skip

PARTITIONS = Row(
    "Partitions",
    [
        lines(
            "Events that wait, most of all partitions",
            [
                Query(
                    "topk(10, sum by (topic, partition) (stream_app_consumer_lag{%w}))",
                    "{{topic}} {{partition}}",
                )
            ],
            "The ten partitions with most events not committed. All alike: too little room. One "
            "alone: one user with very many events (dead-letters will not help; find the "
            "producer), or its worker is stuck.",
            unit="short",
        ),
        lines(
            "Longest without a commit, of all partitions",
            [
                Query(
                    "topk(10, max by (topic, partition) (stream_app_commit_age_seconds{%w}))",
                    "{{topic}} {{partition}}",
                )
            ],
            "The ten partitions that wait longest for a commit while events wait. Normal: below "
            "2 s. A line that climbs to 30 s and starts again: the watchdog ends the worker, and "
            "the next one is stuck at the same event.",
            unit="s", steps=[(20, RED)],
        ),
        lines(
            "Partitions by worker",
            [Query("count by (instance) (stream_app_consumer_lag{%w})", "{{instance}}")],
            "How many partitions each worker has. Even is normal. More workers than partitions of "
            "a topic: some are spares, with no line here.",
            unit="none", stack=True,
        ),
        lines(
            "Users by worker",
            [Query("stream_app_users{%w}", "{{instance}}")],
            "Rows of each worker. Even, within some percent, is normal: users are spread by a "
            "hash. A producer with another partitioner shows here, and as dead letters.",
            unit="short", stack=True,
        ),
    ],
)  # fmt: skip

KAFKA = Row(
    "Kafka",
    [
        lines(
            "Acknowledgement by the broker",
            [
                quantile(share, "stream_app_stage_seconds", '%w,stage="publish"')
                for share in (0.5, 0.99)
            ],
            "How long the broker takes to have the rows and lists of a batch on all replicas that "
            "count. Normal: 2 to 20 ms. If this grows, click to list grows with it: look at the "
            "brokers' disks and network, not at workers.",
            unit="s", steps=[(0.1, RED)],
        ),
        lines(
            "Trouble with Kafka",
            [
                Query(
                    "sum by (kind) (increase(stream_app_degradations_total{%w,kind=~"
                    '"broker_retry|events_unread|topic_shortened|process_stopped|'
                    f'trends_unpublished"}}[{RATE}]))',
                    "{{kind}}",
                )
            ],
            "broker_retry: connections and reads tried again; some in a broker's restart. "
            "events_unread: retention deleted what nobody had read, which is loss. "
            "topic_shortened: a topic lost its end. process_stopped: the machine was suspended "
            "or starved.",
            unit="short", stack=True,
        ),
        lines(
            "Records of the catalogue still to read",
            [Query("stream_app_catalogue_lag{%w}", "{{instance}}")],
            "Records of items, rules, scenarios and experiments that a worker has not read. A peak "
            "at its start is normal, then 0. If it stays, lists are made with old rules and "
            "prices: see StreamAppCatalogueBehind.",
            unit="short",
        ),
        lines(
            "Rows refused, users expired",
            [
                Query(f"sum(increase(stream_app_late_rows{{%w}}[{RATE}]))", "late rows"),
                Query(
                    f"sum(increase(stream_app_users_expired_total{{%w}}[{RATE}]))",
                    "users expired",
                ),
            ],
            "Late rows: written by a worker that had lost its partition, refused and written "
            "again. Some in a rebalance are normal. Expired: users silent for longer than "
            "user_retention_days; a burst follows a change of that setting.",
            unit="short",
        ),
    ],
)  # fmt: skip

PROCESS = Row(
    "Processes",
    [
        lines(
            "Ready",
            [Query("stream_app_ready{%w}", "{{instance}}")],
            "1 while a worker consumes events. A moment at 0 in a rebalance is normal. Down for "
            "longer: it recovers rows (/health/ready says how many), waits for the broker, or is a "
            "spare.",
            unit="none",
        ),
        lines(
            "Open files, share of the limit",
            [Query("process_open_fds{%w} / process_max_fds{%w}", "{{instance}}")],
            "Connections and files in use. Normal: a few percent and flat. A steady rise is a "
            "leak: restart the worker, which is always safe, and report it.",
            unit="percentunit", steps=[(0.8, RED)],
        ),
        lines(
            "Time since the start",
            [Query("time() - process_start_time_seconds{%w}", "{{instance}}")],
            "A saw has as many teeth as the worker was started. After a rollout all are young.",
            unit="s",
        ),
        lines(
            "Versions",
            [
                Query(
                    "count by (version, python) (stream_app_build_info{%s})",
                    "stream-app {{version}}, Python {{python}}",
                )
            ],
            "Workers by the version of stream-app that they run. Two during a rollout; two for "
            "longer: the rollout waits for a worker that does not become ready.",
            unit="none", stack=True,
        ),
    ],
)  # fmt: skip


def dashboard(uid: str) -> str:
    return panels.dashboard(
        uid,
        "Workers and Kafka",
        "Whether every worker is well, how much room it has left, and whether Kafka answers.",
        [NOW, ROOM, PARTITIONS, KAFKA, PROCESS],
        workers=True,
    )
