"""Kinds of runs: all faults, retention at work, and the control with stock Faust."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf

from tests.faults.arena import Arena
from tests.faults.deck import FAULTS, REBALANCES
from tests.faults.run import Plan

DELETING = tuple(fault for fault in FAULTS if "broker" not in fault.name)


def faults(plan: Plan) -> Plan:
    """Every kind of fault."""
    return plan


def retention(plan: Plan) -> Plan:
    """What is committed is deleted from the source topics after every fault of a worker."""
    return replace(plan, faults=DELETING, between=_delete_committed, sources_whole=False)


def stock(plan: Plan) -> Plan:
    """Stock Faust's consumer and tables, under joins and leaves: the checks must find a loss."""
    return replace(
        plan,
        faults=REBALANCES,
        overlap=1.0,  # there is no point in waiting for it to heal
        module=("tests.faults.stock_worker",),
        hang_s=inf,  # nor in a restart, which would read again what is lost
        drain_s=20.0,
        orderly=False,  # one with a stuck commit waits for ever
        settled=False,  # what is not committed is not lost, only late
    )


def stock_widened(plan: Plan) -> Plan:
    """The same, with the window of the loss held open for a second: it is hit every time."""
    return replace(stock(plan), module=("tests.faults.stock_worker", "--window", "1"))


def _delete_committed(arena: Arena) -> None:
    last = arena.progress.last
    if last is not None:
        arena.cluster.delete_before(last[1].committed)


SCENARIOS: dict[str, Callable[[Plan], Plan]] = {
    "faults": faults,
    "retention": retention,
    "stock": stock,
    "stock-widened": stock_widened,
}
