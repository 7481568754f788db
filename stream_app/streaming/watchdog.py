"""Ends a worker that lives without working, from a thread that no blocked event loop can stop."""

from __future__ import annotations

import faulthandler
import logging
import sys
import threading
import time
from asyncio import AbstractEventLoop
from collections import defaultdict
from collections.abc import Callable, Mapping

from stream_app.degradations import Degradation, degraded
from stream_app.observability.logging import is_json, stack_of_threads
from stream_app.streaming.exits import ExitCode, die
from stream_app.streaming.group_view import GroupView
from stream_app.streaming.probe import Snapshot
from stream_app.streaming.pulse import Pulse
from stream_app.streaming.stuck import Finding, StuckRules

log = logging.getLogger(__name__)

TICK_S = 1.0
GAP_S = 3.0
"""A tick that lasts longer was a stop of the whole process: nothing else could run either."""
SILENCE_S = 20.0
"""Between two looks; above a tick with a broker that does not answer."""


class Watchdog(threading.Thread):
    """Looks once a second; ends the process when a rule is proven."""

    def __init__(
        self,
        look: Callable[[], Snapshot],
        loops: Callable[[], Mapping[str, AbstractEventLoop | None]],
        rules: StuckRules,
        view: Callable[[], GroupView],
        observe: Callable[[Snapshot], None] = lambda seen: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`view` asks the broker and may take some seconds; `observe` gets every look."""
        super().__init__(name="watchdog", daemon=True)
        self._look = look
        self._loops = loops
        self._rules = rules
        self._view = view
        self._observe = observe
        self._clock = clock
        self._pulses: defaultdict[str, Pulse] = defaultdict(Pulse)
        self._looked = clock()
        self._state = Snapshot().state
        self._failed_since: float | None = None

    @property
    def spare(self) -> bool:
        """Whether the worker has no source partition because others have them all."""
        return self._rules.spare

    def health(self) -> tuple[bool, str]:
        """Whether the watch goes on, and the worker's state or what is wrong. From any thread."""
        silent_s = self._clock() - self._looked
        if silent_s > SILENCE_S:
            return False, f"the watchdog has not looked for {silent_s:.0f} s"
        return True, self._state

    def run(self) -> None:
        """Never returns; the thread is a daemon."""
        while True:
            began = self._clock()
            time.sleep(TICK_S)
            if self._clock() - began > GAP_S:
                degraded(Degradation.PROCESS_STOPPED)
                log.warning("the process was stopped for %.0f s", self._clock() - began)
                self._rules.pardon()
            try:
                found = self.tick()
            except Exception as error:
                self._failed(error)
            else:
                self._failed_since = None
                if found:
                    _end("; ".join(map(str, found)))
            self._looked = self._clock()

    def tick(self) -> list[Finding]:
        """Look once; what is proven now, the best name first."""
        seen = self._look()
        self._state = seen.state
        self._observe(seen)
        loops = self._loops()
        # Counted before it is asked again: an answer may come before the count or after it, and a
        # look that waits for a silent broker can take longer than a loop may be blocked.
        answered = {name: self._pulses[name].answered for name in loops}
        for name, loop in loops.items():
            self._pulses[name].ask(loop)
        found = self._rules.findings(seen, answered, self._clock())
        if any(finding.cause.needs_broker for finding in found):
            found = self._rules.weigh(found, self._view())
        return [finding for finding in found if finding.proven]

    def _failed(self, error: Exception) -> None:
        """The watch must go on; but one that always fails sees nothing, which is as bad."""
        now = self._clock()
        self._state = f"the watchdog cannot look at the worker: {error!r}"
        if self._failed_since is None:
            self._failed_since = now
            log.exception("could not look at the worker; trying again every second")
        limit_s = self._rules.limits.stuck_s
        if now - self._failed_since > limit_s:
            _end(f"blind watchdog: looking at the worker has failed for {limit_s:.0f} s: {error!r}")


def _end(what: str) -> None:
    # Where every thread stands: whoever looks for the reason has only this. It shows no values.
    stack = None
    if is_json():
        stack = stack_of_threads()
    else:
        faulthandler.dump_traceback(sys.stderr)
    die(ExitCode.STUCK, f"watchdog: {what}", stack=stack)
