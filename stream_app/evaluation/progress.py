"""What a long run shows of itself: with rich where it is installed, as plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from typing import Protocol

import click

Cells = Sequence[str]


class Progress(Protocol):
    """Where a run tells how far it is."""

    def stage(self, text: str) -> None:
        """A new part of the work begins."""

    def note(self, text: str) -> None:
        """A result worth a line."""

    def bar(self, total: int, unit: str) -> AbstractContextManager[Callable[[int], None]]:
        """A context manager giving a function to call with the number of units done."""

    def table(self, title: str, columns: Cells, rows: Sequence[Cells]) -> None:
        """A table; the first column holds names, the others figures."""


def make_progress() -> Progress:
    """The best that this installation and terminal can show."""
    if find_spec("rich") is None or not sys.stdout.isatty():
        return PlainProgress()
    return RichProgress()


class PlainProgress:
    """Plain lines, at most ten for a bar."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def stage(self, text: str) -> None:
        click.echo(f"[{time.monotonic() - self._began:6.0f} s] {text}")

    def note(self, text: str) -> None:
        click.echo(f"           {text}")

    @contextmanager
    def bar(self, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        shown = 0

        def update(done: int) -> None:
            nonlocal shown
            if (tenths := 10 * done // max(total, 1)) > shown:
                shown = tenths
                self.note(f"{done:,} of {total:,} {unit}")

        yield update

    def table(self, title: str, columns: Cells, rows: Sequence[Cells]) -> None:
        widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
        click.echo(title)
        for row in (columns, *rows):
            name, *cells = (
                f"{cell:{'>' if at else '<'}{width}}"
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            click.echo("  ".join([name, *cells]))


class RichProgress(PlainProgress):
    """The same with a live bar and a drawn table."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console

        self._console = Console(highlight=False)

    @contextmanager
    def bar(self, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        from rich.progress import Progress as Bar

        with Bar(console=self._console, transient=True) as bar:
            task = bar.add_task(unit, total=total)
            yield lambda done: bar.update(task, completed=done)

    def table(self, title: str, columns: Cells, rows: Sequence[Cells]) -> None:
        from rich.markup import escape
        from rich.table import Table

        drawn = Table(title=escape(title), title_justify="left")
        for at, name in enumerate(columns):
            drawn.add_column(escape(name), justify="right" if at else "left", no_wrap=True)
        for row in rows:
            drawn.add_row(*map(escape, row))
        self._console.print(drawn)
