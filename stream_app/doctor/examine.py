"""Makes every check, one after the other; what one of them finds stops none of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager

from stream_app.doctor import machine, running, topics
from stream_app.doctor.cluster import Cluster, read_cluster
from stream_app.doctor.finding import Finding, NotChecked, Report
from stream_app.errors import UserError
from stream_app.settings import Settings
from stream_app.streaming.clock import Clock, now_ms
from stream_app.streaming.refusals import NoBrokerError

TOPICS: dict[str, Callable[[Cluster], list[Finding]]] = {
    "topics": topics.topics,
    "partitions": topics.partitions,
    "topic-settings": topics.topic_settings,
    "replication": topics.replication,
    "message-size": topics.message_size,
}
RUNNING: dict[str, Callable[[Cluster, Clock], Awaitable[list[Finding]]]] = {
    "group": running.group,
    "permissions": running.permissions,
    "clock": running.clock,
}
"""Checks that ask the brokers again, with this machine's clock (Unix ms)."""
BROKERS = "brokers"
NAMES = (*machine.CHECKS, BROKERS, *TOPICS, *RUNNING)


def examine(settings: Settings, only: Collection[str] = NAMES, clock_ms: Clock = now_ms) -> Report:
    """Make the checks of the given names. Changes nothing."""
    report = Report()
    for name, check in machine.CHECKS.items():
        if name in only:
            with _noting(report, name):
                report.findings += check(settings)
    if not set(only) <= machine.CHECKS.keys():
        asyncio.run(_examine_cluster(settings, report, only, clock_ms))
    return report


async def _examine_cluster(
    settings: Settings, report: Report, only: Collection[str], clock_ms: Clock
) -> None:
    try:
        cluster = await read_cluster(settings)
    except UserError as error:
        report.checked.append(BROKERS)
        report.findings.append(_unreachable(settings, error))
        unasked = [name for name in (*TOPICS, *RUNNING) if name in only]
        report.not_checked |= dict.fromkeys(unasked, "no broker lets us in")
        return
    report.checked.append(BROKERS)
    for name, check in TOPICS.items():
        if name in only:
            with _noting(report, name):
                report.findings += check(cluster)
    for name, ask in RUNNING.items():
        if name in only:
            with _noting(report, name):
                report.findings += await ask(cluster, clock_ms)


def _unreachable(settings: Settings, error: UserError) -> Finding:
    silent = isinstance(error, NoBrokerError)
    return Finding(
        check=BROKERS,
        what=str(error),
        why="a worker does not start",
        fix="start the brokers, or name others with bootstrap_servers"
        if silent
        else "mend what is said, in the settings of TLS and SASL (docs/security.md)",
        command=f"kafka-broker-api-versions.sh --bootstrap-server {settings.bootstrap_servers}",
    )


@contextmanager
def _noting(report: Report, name: str) -> Iterator[None]:
    """Note that a check was made, or why it was not."""
    try:
        yield
    except (NotChecked, UserError) as error:
        report.not_checked[name] = str(error)
    else:
        report.checked.append(name)
