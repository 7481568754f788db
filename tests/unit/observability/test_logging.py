"""Lines of logs: JSON that machines read, and nothing of users in either format."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from stream_app.errors import UserError
from stream_app.observability import logging as ours
from stream_app.observability.logging import at, fields, last_words, stack_of, told

ANN = "ann-of-the-messages"


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What `set_up` changes of the process is put back."""
    root = logging.getLogger()
    kept = root.handlers[:], root.level
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    for name in ("format", "user_ids", "context"):
        monkeypatch.setattr(ours._State, name, getattr(ours._State, name))
    yield
    logging.captureWarnings(False)
    root.handlers[:] = kept[0]
    root.setLevel(kept[1])


def lines_of(style: str, **options: Any) -> io.StringIO:
    """Set logging up; what it writes comes here."""
    ours.set_up("debug", style, **options)
    stream = io.StringIO()
    handler = logging.getLogger().handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(stream)
    return stream


def failed(*errors: Exception) -> Exception:
    """The last of some exceptions, each raised from the one before."""
    before: Exception | None = None
    for error in errors:
        try:
            raise error from before
        except Exception as raised:
            before = raised
    assert before is not None
    return before


def test_a_line_is_an_object_with_what_is_known() -> None:
    stream = lines_of("json", app_id="shop")
    ours.add_context(release="movies@3")
    log = logging.getLogger("agents.test")
    log.error("%s/%d is\nshort — 短", "clicks", 3, extra=at("clicks", 3, 17))
    log.debug("a batch", extra=fields(lists_made=2))
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "error",
        "logger": "agents.test",
        "message": "clicks/3 is\nshort — 短",
        "app_id": "shop",
        "release": "movies@3",
        "topic": "clicks",
        "partition": 3,
        "offset": 17,
    }
    assert (second["level"], second["lists_made"]) == ("debug", 2)
    assert at("clicks", 3) == fields(topic="clicks", partition=3)


def test_the_time_is_rfc_3339_in_utc_with_milliseconds() -> None:
    record = logging.makeLogRecord({"created": 1_700_000_000.0079, "msg": "x"})
    assert json.loads(ours.JsonFormatter().format(record))["time"] == "2023-11-14T22:13:20.007Z"


def test_an_exception_is_fields() -> None:
    stream = lines_of("json")
    log = logging.getLogger("stream_app.test")
    log.error("failed", exc_info=failed(UserError("no such file")))
    log.warning("reading: %r; trying again", KafkaConnectionError("away"))
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["error_type"] == "stream_app.errors.UserError"
    assert first["stack"].startswith("Traceback (most recent call last):\n")
    assert first["stack"].endswith("stream_app.errors.UserError: no such file\n")
    assert second["error_type"] == "aiokafka.errors.KafkaConnectionError"
    assert "away" in second["message"]


@pytest.mark.parametrize("style", ["text", "json"])
def test_texts_of_exceptions_that_could_name_a_user_are_left_out(style: str) -> None:
    error = failed(KeyError(ANN), OSError("disk full"), RuntimeError(f"no row of {ANN}"))
    stream = lines_of(style)
    logging.getLogger("mode").error("Crashed reason=%r", error, exc_info=error)
    logging.getLogger("aiohttp.server").error("Error handling request from %s", ANN)
    logging.getLogger("stream_app.test").error("failed", exc_info=error)
    shown = stream.getvalue()
    assert ANN not in shown
    assert "disk full" in shown
    assert "RuntimeError (text left out: it could name a user; log_user_ids shows it)" in shown
    assert "an HTTP request could not be handled" in shown
    assert told(error) == f"RuntimeError {ours.LEFT_OUT}"


def test_they_are_shown_where_that_is_wanted() -> None:
    stream = lines_of("json", user_ids=True)
    logging.getLogger("mode").error("Crashed reason=%r", KeyError(ANN))
    assert ANN in stream.getvalue()
    assert ANN in stack_of(failed(KeyError(ANN), ValueError("x")))


def test_libraries_repeat_themselves_once_in_a_while_only() -> None:
    stream = lines_of("json")
    for _ in range(5):
        logging.getLogger("aiokafka").error("Unable connect to node %d", 1)
        logging.getLogger("aiokafka").info("hidden")
    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize("style", ["text", "json"])
def test_last_words(style: str, capfd: pytest.CaptureFixture[str]) -> None:
    lines_of(style, app_id="shop")
    last_words("cannot: why", "stream-app: fatal: cannot: why", 70, failed(KeyError(ANN)))
    shown = capfd.readouterr().err
    assert ANN not in shown
    if style == "text":
        assert shown.startswith("Traceback (most recent call last):\n")
        assert shown.endswith(f"KeyError {ours.LEFT_OUT}\nstream-app: fatal: cannot: why\n")
        return
    line = json.loads(shown)
    assert (line["level"], line["exit_code"], line["message"]) == ("critical", 70, "cannot: why")
    assert (line["error_type"], line["app_id"]) == ("KeyError", "shop")
    assert "test_logging.py" in line["stack"]


def test_a_stack_of_threads_names_them() -> None:
    assert "Thread MainThread:" in ours.stack_of_threads()


def errors_of(*arguments: str, **environment: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code of a program, and the lines on its stderr."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, [json.loads(line) for line in done.stderr.splitlines()]


UNFORESEEN = f"""
import threading, warnings
from stream_app.observability import logging
logging.set_up("info", "json")
warnings.warn("old")
def fail(): raise KeyError("{ANN}")
thread = threading.Thread(target=fail, name="reader")
thread.start()
thread.join()
fail()
"""


def test_what_nobody_foresaw_is_json_too() -> None:
    code, (warned, thread, end) = errors_of("-c", UNFORESEEN)
    assert code == 1
    assert (warned["level"], warned["logger"]) == ("warning", "py.warnings")
    assert thread["message"].startswith("thread reader has ended: KeyError (text left out")
    assert (end["level"], end["error_type"], end["exit_code"]) == ("critical", "KeyError", 1)
    assert "in fail" in end["stack"]
    assert ANN not in f"{thread}{end}"


def test_a_worker_that_cannot_start_says_so_in_json() -> None:
    worker = ("-m", "stream_app", "worker")
    for code, lines in (
        errors_of(*worker, STREAM_APP_LOG_FORMAT="json", STREAM_APP_LIST_LENGTH="0"),
        errors_of(*worker, "--log-format", "json", "--list-length", "0"),
    ):
        assert code == 2
        assert [line["message"] for line in lines] == [
            "list_length is 0; it must be from 1 to 1000"
        ]
    code, (line,) = errors_of(*worker, "--no-such", STREAM_APP_LOG_FORMAT="json")
    assert (code, line["exit_code"], line["level"]) == (2, 2, "critical")
    assert "--no-such" in line["message"]
    assert errors_of(*worker, "--help", STREAM_APP_LOG_FORMAT="json") == (0, [])
