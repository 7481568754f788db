"""Logging of a process: one line per event on stderr, as text or JSON, and no storms.

No line names a user: what is logged are topics, partitions and offsets, by which whoever may read a
topic finds the rest. Texts of exceptions that we did not write could hold a key or a value, so they
are left out wherever such an exception can come from a message.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from stream_app.errors import UserError

REPEAT_S = 10.0
"""aiokafka logs about ten lines a second while it cannot connect: one in this time is enough."""

FORMAT_VARIABLE = "STREAM_APP_LOG_FORMAT"
"""Counts until `set_up` is called: what is wrong with a setting is said in this format as well."""

LEFT_OUT = "(text left out: it could name a user; log_user_ids shows it)"

_OWN = ("stream_app", "agents", "__main__")
_NOISY = ("aiokafka", "faust", "mode", "opentelemetry", "urllib3")
_HTTP_SERVER = "aiohttp.server"
_WRITTEN_FOR_OPERATORS = (UserError, OSError, MemoryError, ImportError)


class _State:
    """What holds for the whole process."""

    format: str | None = None
    user_ids = False
    context: Mapping[str, str] = {}


def at(topic: str, partition: int, offset: int | None = None) -> dict[str, Any]:
    """The `extra` of a log call that says something of a place in a topic."""
    place = {"topic": topic, "partition": partition}
    return fields(**place if offset is None else place | {"offset": offset})


def fields(**values: Any) -> dict[str, Any]:
    """The `extra` of a log call with more fields for its JSON line."""
    return {"fields": values}


def set_up(level: str, style: str = "text", *, user_ids: bool = False, app_id: str = "") -> None:
    """Log to stderr from `level` up; libraries from warning up, each message at intervals.

    `style` is `text` or `json`. With `user_ids`, lines may name users where that helps.
    """
    _State.format, _State.user_ids = style, user_ids
    _State.context = {"app_id": app_id} if app_id else {}
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    handler.addFilter(_OncePerInterval(REPEAT_S))
    handler.addFilter(_without_user_data)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    catch_uncaught()
    # Faust names the loggers of its services after the module of their class, also of ours.
    for name in (*_NOISY, "stream_app.streaming.consumer"):
        # Faust formats debug messages on its hot path whenever the level allows it.
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


def catch_uncaught() -> None:
    """Let exceptions that nothing catches be said as everything else is."""
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def announce(style: str) -> None:
    """What dies before `set_up` is called dies in this format."""
    _State.format = style


def add_context(**context: str) -> None:
    """Put these fields into every JSON line from now on."""
    _State.context = {**_State.context, **context}


def user_ids_shown() -> bool:
    """Whether lines may name users."""
    return _State.user_ids


def is_json() -> bool:
    """Whether lines are JSON."""
    return (_State.format or os.environ.get(FORMAT_VARIABLE)) == "json"


def last_words(
    message: str,
    text: str,
    exit_code: int,
    error: BaseException | None = None,
    stack: str | None = None,
) -> None:
    """Say why the process ends: `text` after the stack, or the `message` as a line of JSON.

    Goes around the handlers: a thread that is stuck may hold one.
    """
    if stack is None and error is not None:
        stack = stack_of(error)
    if is_json():
        line = _head("critical", "stream_app", time.time(), message) | {"exit_code": exit_code}
        if error is not None:
            line["error_type"] = _type_of(error)
        print(_dumped(line if stack is None else line | {"stack": stack}), file=sys.stderr)
    else:
        print(f"{stack or ''}{text}".rstrip(), file=sys.stderr)
    sys.stderr.flush()


def told(error: BaseException) -> str:
    """An exception in a few words, without a text that could hold a message or a key."""
    return repr(error) if _may_be_told(error) else f"{_type_of(error)} {LEFT_OUT}"


def stack_of(error: BaseException) -> str:
    """The traceback of an exception and of what led to it, with texts as `told` has them."""
    parts: list[str] = []
    for one in _chain(error):
        text = f": {one}" if _may_be_told(one) else f" {LEFT_OUT}"
        parts += ["Traceback (most recent call last):\n", *traceback.format_tb(one.__traceback__)]
        parts.append(f"{_type_of(one)}{text}\n")
    return "".join(parts)


def stack_of_threads() -> str:
    """Where every thread of the process stands."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts: list[str] = []
    for ident, frame in sys._current_frames().items():
        parts += [f"Thread {names.get(ident, ident)}:\n", *traceback.format_stack(frame)]
    return "".join(parts)


class TextFormatter(logging.Formatter):
    """For people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is logging's
        """The traceback; see `stack_of`."""
        return stack_of(ei[1]).rstrip()


class JsonFormatter(logging.Formatter):
    """One JSON object a line; docs/logs-and-traces.md lists the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        level = record.levelname.lower()
        line = _head(level, record.name, record.created, record.getMessage())
        line |= getattr(record, "fields", {})
        error = record.exc_info[1] if record.exc_info else None
        arguments = record.args if isinstance(record.args, tuple) else ()
        named = error or next((one for one in arguments if isinstance(one, BaseException)), None)
        if named is not None:
            line["error_type"] = _type_of(named)
        if error is not None:
            line["stack"] = stack_of(error)
        return _dumped(line)


class _OncePerInterval(logging.Filter):
    """Lets a message through once per interval; messages differ by their template."""

    def __init__(self, interval_s: float) -> None:
        super().__init__()
        self._interval_s = interval_s
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(_NOISY):
            return True
        key, now = (record.name, str(record.msg)[:80]), time.monotonic()
        if now - self._last.get(key, -self._interval_s) < self._interval_s:
            return False
        if len(self._last) > 1000:
            self._last.clear()
        self._last[key] = now
        return True


class _Told:
    """An exception in the arguments of a log call, as it may be shown."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __repr__(self) -> str:
        return told(self._error)

    __str__ = __repr__


def _without_user_data(record: logging.LogRecord) -> bool:
    """Libraries put into their lines whatever went wrong, and who called."""
    if _State.user_ids or record.name.startswith(_OWN):
        return True
    if record.name == _HTTP_SERVER:
        record.msg, record.args = "an HTTP request could not be handled", ()
    if isinstance(record.args, tuple):
        record.args = tuple(
            _Told(one) if isinstance(one, BaseException) and not _may_be_told(one) else one
            for one in record.args
        )
    return True


def _head(level: str, logger: str, created: float, message: str) -> dict[str, Any]:
    at_ms = int(created * 1000)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms // 1000))
    head = {"time": f"{moment}.{at_ms % 1000:03d}Z", "level": level, "logger": logger}
    return {**head, "message": message, **_State.context}


def _dumped(line: Mapping[str, Any]) -> str:
    return json.dumps(line, default=str)  # ASCII: any stderr can take it


def _type_of(error: BaseException) -> str:
    kind = type(error)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"{module}{kind.__qualname__}"


def _may_be_told(error: BaseException) -> bool:
    """Whether its text holds nothing of a message: ours, the system's, the Kafka client's."""
    if _State.user_ids or isinstance(error, _WRITTEN_FOR_OPERATORS):
        return True
    return type(error).__module__.partition(".")[0] == "aiokafka"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """What led to it first, then itself."""
    found: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in found:
        found.append(following)
        hidden = following.__suppress_context__
        following = following.__cause__ or (None if hidden else following.__context__)
    return reversed(found)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    last_words(f"not caught: {told(error)}", "", 1, error)


def _uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
    error = arguments.exc_value
    name = arguments.thread.name if arguments.thread is not None else "?"
    if error is not None:
        logging.getLogger(__name__).error(
            "thread %s has ended: %s", name, told(error), exc_info=error
        )
