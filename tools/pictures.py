"""Take the pictures of docs/inspector.md: the demo, its inspector, a headless Chromium.

    python tools/pictures.py
    python tools/pictures.py http://127.0.0.1:41737   # of a demo that streams already

Needs chromium and stream-app[demo,dev,evaluate], and writes docs/pictures/*.png. What is in them is
what the demo streams at that moment, so no two runs are the same; look at each before it is
committed.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
DEMO = ("demo", "--stay", "--events", "6000", "--rate", "25")
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
WIDE, NARROW = {"width": 1180, "height": 800}, {"width": 360, "height": 760}
COLOURS = 256
"""Of a palette: the page has few, and the files become a third."""
MOST_BYTES = 150_000


@contextmanager
def demo() -> Iterator[str]:
    """The address of the inspector of a demo that streams."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stream_app", *DEMO],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield found[0]
                return
        sys.exit(f"the demo ended without an inspector:\n{''.join(said)}")
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # its worker as well
        process.wait(60)


def opened(browser: Browser, size: dict[str, int], theme: str) -> Page:
    return browser.new_page(
        viewport=size, color_scheme=theme, reduced_motion="reduce", device_scale_factor=1
    )


def somebody(page: Page) -> str:
    """A user with a past who has nothing to do just now: their list stands still."""
    users: list[dict[str, Any]] = page.evaluate(
        "fetch('api/users').then(answer => answer.json()).then(body => body.users)"
    )
    return str(max(users[len(users) // 2 :], key=lambda user: min(user["events"], 100))["user_id"])


def keep(page: Page, name: str) -> None:
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path)
    rare_too = Image.Quantize.MAXCOVERAGE
    image = Image.open(path).convert("RGB").quantize(COLOURS, rare_too, dither=Image.Dither.NONE)
    image.save(path, optimize=True)
    size = path.stat().st_size
    if size > MOST_BYTES:
        sys.exit(f"{path} is {size} bytes, more than {MOST_BYTES}; use fewer colours")
    print(f"{path.relative_to(PICTURES.parents[1])}: {size / 1000:.0f} kB")


def take(browser: Browser, base: str) -> None:
    page = opened(browser, WIDE, "light")
    page.goto(base)
    page.wait_for_selector(".feed tbody tr:nth-child(12)")
    page.wait_for_timeout(75_000)  # what came before the stream is older than a minute then
    keep(page, "live")

    user = somebody(page)
    page.goto(f"{base}/#/user/{user}")
    page.wait_for_selector(".list > li:nth-child(10)")
    page.hover(".list > li:nth-child(2) .reason")
    keep(page, "user")
    bought = page.locator(".list > li").nth(2)
    bought.get_by_role("button", name="Buy").click()
    page.locator(".said", has_text="New list after").wait_for()
    page.mouse.move(5, 5)
    keep(page, "changed")
    page.close()

    page = opened(browser, WIDE, "dark")
    page.goto(f"{base}/#/item/296")
    page.wait_for_selector("tbody tr")
    keep(page, "item")
    page.close()

    page = opened(browser, NARROW, "dark")
    page.goto(f"{base}/#/user/{user}")
    page.wait_for_selector(".list > li:nth-child(10)")
    page.evaluate("document.querySelector('.list').scrollIntoView()")
    keep(page, "narrow")
    page.close()


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    chromium = shutil.which("chromium") or sys.exit(
        "chromium is not there: apt-get install chromium"
    )
    running = nullcontext(sys.argv[1]) if sys.argv[1:] else demo()
    with running as base, sync_playwright() as driver:
        take(driver.chromium.launch(executable_path=chromium, args=list(QUIET)), base)


if __name__ == "__main__":
    main()
