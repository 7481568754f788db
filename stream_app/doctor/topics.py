"""Checks of topics: that they are there, their partitions, settings, copies and sizes."""

from __future__ import annotations

from collections import Counter

from schemas import DEAD_LETTERS, topic_name
from stream_app.doctor.cluster import Cluster
from stream_app.doctor.finding import Finding, NotChecked
from stream_app.streaming import retention
from stream_app.streaming.permissions import WRITE, worker_rights
from stream_app.streaming.publisher import BATCH_BYTES
from stream_app.streaming.topics import (
    changelog_topic,
    missing_names,
    missing_topics,
    not_for_workers,
    source_topics,
    specs,
    user_counts,
)

RECORD_OVERHEAD_BYTES = 1024
"""Of a batch: its header, and keys and headers of records."""
DEAD_LETTER_BYTES = 1_048_588
"""The broker's default limit, that a dead letter with a whole value always fits into."""
COPIES = 2
"""Of each partition where there are several brokers: one may then be away."""
NOT_TOLD = "the brokers do not tell the settings of topics: it needs DescribeConfigs on them"


def topics(cluster: Cluster) -> list[Finding]:
    """Topics that are not there."""
    settings, counts = cluster.settings, cluster.layout.counts
    missing = missing_names(settings, counts, without=not_for_workers(settings))
    if not missing:
        return []
    usual = Counter(user_counts(settings, counts).values()).most_common(1)
    partitions = f" --partitions {usual[0][0]}" if usual else ""
    copies = min(cluster.layout.brokers, 3)
    return [
        Finding(
            check="topics",
            what=str(missing_topics(settings, missing)),
            why="a worker does not start",
            fix="make them; those that exist are left as they are",
            command=f"stream-app topics create --bootstrap-servers {settings.bootstrap_servers}"
            f"{_names(cluster)}{partitions} --replication {copies}",
        )
    ]


def _names(cluster: Cluster) -> str:
    settings = cluster.settings
    prefix = f" --topic-prefix {settings.topic_prefix}" if settings.topic_prefix else ""
    return f" --app-id {settings.app_id}{prefix}"


def partitions(cluster: Cluster) -> list[Finding]:
    """Topics keyed by user that have another number of partitions than most of them."""
    settings = cluster.settings
    counts = user_counts(settings, cluster.layout.counts, without=not_for_workers(settings))
    if len(set(counts.values())) < 2:
        return []
    usual = Counter(counts.values()).most_common(1)[0][0]
    keyed = {*source_topics(settings), changelog_topic(settings.app_id)}
    return [
        Finding(
            check="partitions",
            what=f"{name} has {count} partitions, the other topics keyed by user have {usual}",
            why="a worker does not start: rows and outputs of a user stand in the partition of "
            "their events",
            fix=_change(name in keyed, count < usual),
            command=_resize(cluster, name, count, usual),
        )
        for name, count in counts.items()
        if count != usual
    ]


def _change(keyed: bool, fewer: bool) -> str:
    if fewer and not keyed:
        return "add partitions to it"
    return (
        "only while nothing is in it, since users would move away from their rows "
        "(docs/deploying.md, More partitions): "
        + ("add partitions to it" if fewer else "delete it, and make it again")
    )


def _resize(cluster: Cluster, name: str, count: int, usual: int) -> str:
    if count < usual:
        return cluster.tool("kafka-topics.sh", f"--alter --topic {name} --partitions {usual}")
    create = f"stream-app topics create --bootstrap-servers {cluster.settings.bootstrap_servers}"
    delete = cluster.tool("kafka-topics.sh", f"--delete --topic {name}")
    return f"{delete} && {create}{_names(cluster)} --partitions {usual}"


def topic_settings(cluster: Cluster) -> list[Finding]:
    """Policies and retention."""
    if cluster.layout.topics and not cluster.configs:
        raise NotChecked(NOT_TOLD)
    unsafe = retention.unsafe(cluster.settings, cluster.configs)
    found = [_setting(cluster, one, "error", "a worker does not start") for one in unsafe]
    found += [
        _setting(cluster, one, "warning", "events are lost, or an erasure does not hold")
        for one in retention.problems(cluster.settings, cluster.configs)
    ]
    return found + _policies(cluster, {one.topic for one in unsafe})


def _setting(cluster: Cluster, problem: retention.TopicProblem, severity: str, why: str) -> Finding:
    return Finding(
        check="topic-settings",
        severity="error" if severity == "error" else "warning",
        what=str(problem),
        why=why,
        fix=f"set {problem.config} to {problem.wanted}",
        command=cluster.configure(problem.topic, problem.config, problem.wanted),
    )


def _policies(cluster: Cluster, said: set[str]) -> list[Finding]:
    """Of the other topics: one that is not compacted forgets what is still true."""
    found = []
    for spec in specs(cluster.settings, 1):
        wanted = spec.configs["cleanup.policy"]
        policy = cluster.configs.get(spec.name, {}).get("cleanup.policy", wanted)
        if policy != wanted and spec.name not in said:
            loses = (
                "what is still true goes by its age"
                if wanted == "compact"
                else ("all but the last record of a user goes")
            )
            found.append(
                Finding(
                    check="topic-settings",
                    severity="warning",
                    what=f"{spec.name}: cleanup.policy is {policy} instead of {wanted}",
                    why=loses,
                    fix=f"set cleanup.policy to {wanted}",
                    command=cluster.configure(spec.name, "cleanup.policy", wanted),
                )
            )
    return found


def replication(cluster: Cluster) -> list[Finding]:
    """Leaders and copies."""
    found = []
    for name, parts in sorted(cluster.layout.topics.items()):
        config = cluster.configs.get(name, {})
        least = int(config.get("min.insync.replicas", 1))
        copies = min(one.copies for one in parts)
        if any(not one.has_leader for one in parts):
            found.append(
                _replicas(
                    cluster,
                    name,
                    "a partition has no leader",
                    "nothing can be read or written there",
                    "start the brokers that hold it",
                )
            )
        elif any(one.in_sync < least for one in parts):
            found.append(
                _replicas(
                    cluster,
                    name,
                    f"a partition has fewer copies in sync than min.insync.replicas ({least})",
                    "writes are refused, and workers end",
                    "start the brokers that are away",
                )
            )
        elif any(one.in_sync < one.copies for one in parts):
            found.append(
                _replicas(
                    cluster,
                    name,
                    "a partition has copies that are not in sync",
                    "the next broker that goes may take records with it",
                    "start the brokers that are away",
                    warning=True,
                )
            )
        elif cluster.layout.brokers > 1 and copies < COPIES:
            found.append(
                _replicas(
                    cluster,
                    name,
                    "its partitions have one copy",
                    "when its broker "
                    "is away workers stop, and when its disk is lost users' rows "
                    "are",
                    "give it three copies (kafka-reassign-partitions.sh)",
                    warning=True,
                )
            )
        elif copies > COPIES and least < COPIES:
            found.append(
                Finding(
                    check="replication",
                    severity="warning",
                    what=f"{name}: min.insync.replicas is {least}",
                    why="a broker acknowledges what it alone has: when it is lost, so are records "
                    "that were committed",
                    fix="set it to 2",
                    command=cluster.configure(name, "min.insync.replicas", "2"),
                )
            )
    return found  # fmt: skip


def _replicas(
    cluster: Cluster, name: str, what: str, why: str, fix: str, *, warning: bool = False
) -> Finding:
    return Finding(
        check="replication",
        severity="warning" if warning else "error",
        what=f"{name}: {what}",
        why=why,
        fix=fix,
        command=cluster.tool("kafka-topics.sh", f"--describe --topic {name}"),
    )


def message_size(cluster: Cluster) -> list[Finding]:
    """The largest record that each topic takes which a worker writes to."""
    if cluster.layout.topics and not cluster.configs:
        raise NotChecked(NOT_TOLD)
    settings = cluster.settings
    letters = topic_name(settings.topic_prefix, DEAD_LETTERS)
    written = {right.name for right in worker_rights(settings) if right.operation is WRITE}
    found = []
    for name in sorted(written):
        needed = DEAD_LETTER_BYTES if name == letters else BATCH_BYTES + RECORD_OVERHEAD_BYTES
        limit = int(cluster.configs.get(name, {}).get("max.message.bytes", needed))
        if limit < needed:
            found.append(
                Finding(
                    check="message-size",
                    what=f"{name}: max.message.bytes is {limit}; workers write up to {needed}",
                    why="the broker refuses the record, the worker ends with exit code 70, and "
                    "does so again after every restart",
                    fix=f"raise it to {DEAD_LETTER_BYTES}",
                    command=cluster.configure(name, "max.message.bytes", str(DEAD_LETTER_BYTES)),
                )
            )
    return found
