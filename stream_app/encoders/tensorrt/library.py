"""The handle to TensorRT: one module or the other, with its messages kept for errors.

TensorRT says why something failed in its log, and returns None or False.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from stream_app.encoders.probe import MODULES
from stream_app.encoders.spec import EncoderError

log = logging.getLogger(__name__)

KEPT_ERRORS = 4  # the first names the cause, the next ones where it was met


class TensorrtError(EncoderError):
    """TensorRT or CUDA refused something; the message holds the library's own words."""


@dataclass(frozen=True)
class Library:
    """`tensorrt` or `tensorrt_rtx`, whose calls are the same where both have them."""

    name: str
    trt: Any
    """The module."""
    logger: Any
    """Its `ILogger`, which must live as long as anything made with it."""
    errors: deque[str]

    @property
    def version(self) -> str:
        """Of the library, `11.4.0.106`."""
        return str(self.trt.__version__)

    def error(self, what: str) -> TensorrtError:
        """The error for `what`, with the library's last messages, which are then forgotten."""
        said = "; ".join(self.errors) or "the library said nothing"
        self.errors.clear()
        return TensorrtError(f"{self.name} {self.version}: {what}: {said}")


def open_library(name: str) -> Library:
    """Import `tensorrt` or `tensorrt_rtx`.

    Imports are safe without a driver, and so are builders of `tensorrt_rtx`; runtimes of `tensorrt`
    are not: ask `stream_app.encoders.probe` first. Raises `TensorrtError` where the module or a
    library under it is missing.
    """
    module, cure = MODULES[name]
    try:
        trt = import_module(module)
    except (ImportError, OSError) as error:
        # Bindings without the libraries under them import as far as the first missing one.
        raise TensorrtError(f"{module} cannot be imported: {error}; {cure}") from error
    return wrap(name, trt)


def wrap(name: str, trt: Any) -> Library:
    """The module `trt` as a `Library`, listening to its log."""
    errors: deque[str] = deque(maxlen=KEPT_ERRORS)
    severity = trt.ILogger.Severity
    grave = (severity.INTERNAL_ERROR, severity.ERROR)

    class Listener(trt.ILogger):  # type: ignore[misc]
        """Keeps errors for the exception that follows; the rest goes to Python's log."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, level: Any, message: str) -> None:
            if level in grave:
                errors.append(message.strip())
            log.debug("%s: %s", name, message)

    return Library(name, trt, Listener(), errors)
