"""The experiments that a worker knows, and the split that they make of users at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from schemas import ExperimentSpec
from stream_app.degradations import Degradation, degraded
from stream_app.experiments.split import Split

log = logging.getLogger(__name__)

MAX_RUNNING = 50
"""Arms are labels of metrics: 50 experiments of 10 arms are as many series as a worker may make."""
_ALWAYS = 1 << 62


def is_running(spec: ExperimentSpec, now_ms: int) -> bool:
    """Whether an experiment has users at a time (Unix ms)."""
    return (spec.from_ms or 0) <= now_ms < (spec.until_ms if spec.until_ms is not None else _ALWAYS)


class Experiments:
    """What records of `experiments` say; use from one thread."""

    def __init__(self, specs: Iterable[ExperimentSpec] = ()) -> None:
        """`specs` are experiments that are there from the start."""
        self._specs = {spec.name: spec for spec in specs}
        self._split: Split | None = None
        self._valid = (0, 0)
        self.running = 0
        """How many had users when the split was last made."""

    def put(self, name: str, spec: ExperimentSpec | None) -> None:
        """An experiment is as `spec` says from now on; None removes it."""
        if spec is None:
            self._specs.pop(name, None)
        else:
            self._specs[name] = spec
        self._valid = (0, 0)

    def all(self) -> list[ExperimentSpec]:
        """What is said of each, whether it runs or not."""
        return list(self._specs.values())

    def split(self, now_ms: int) -> Split | None:
        """The split of users at a time (Unix ms); None while no experiment runs."""
        begin, end = self._valid
        if not begin <= now_ms < end:
            self._compile(now_ms)
        return self._split

    def _compile(self, now_ms: int) -> None:
        edges = [-_ALWAYS, _ALWAYS]
        for spec in self._specs.values():
            edges += [edge for edge in (spec.from_ms, spec.until_ms) if edge is not None]
        self._valid = (
            max(edge for edge in edges if edge <= now_ms),
            min(edge for edge in edges if edge > now_ms),
        )
        running = sorted(
            (spec for spec in self._specs.values() if is_running(spec, now_ms)),
            key=lambda spec: spec.name,
        )
        for spec in running[MAX_RUNNING:]:
            degraded(Degradation.CONTROL_REFUSED)
            log.error("experiment %s: more than %d run, it has to wait", spec.name, MAX_RUNNING)
        self.running = min(len(running), MAX_RUNNING)
        self._split = Split(running[:MAX_RUNNING]) if running else None
