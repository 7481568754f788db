"""A Chromium in tests, and what a page must never do."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.programs import program

T = TypeVar("T")

QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
"""Without a screen, and without the browser's own traffic."""

CONTRAST = (Path(__file__).parent / "contrast.js").read_text()


@contextmanager
def chromium(**options: Any) -> Iterator[BrowserContext]:
    """A browser with a profile of its own, for one module: a loop runs while it is open."""
    path = program("chromium")
    with tempfile.TemporaryDirectory(prefix="chromium-") as profile, sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            profile, executable_path=path, args=list(QUIET), **options
        )
        context.set_default_timeout(15_000)
        try:
            yield context
        finally:
            context.close()


def elsewhere(function: Callable[..., T], *arguments: Any) -> T:
    """Call what runs an event loop of its own, which this thread cannot while a browser is open."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(function, *arguments).result()


class Watched:
    """What a page does behind what it shows."""

    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "request",
            lambda sent: None if sent.url.startswith(base) else self.elsewhere.append(sent.url),
        )

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)
