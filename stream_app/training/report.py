"""What a training run shows: with rich where it is installed, as plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import click

from stream_app.evaluation import Scoreboard
from stream_app.training.config import TrainingError
from stream_app.training.fit import Epoch

COLUMNS = ("method", "hit rate@10", "NDCG@10", "MRR@10", "returning", "new users")


class Report(Protocol):
    """Where a run tells how far it is."""

    def stage(self, text: str) -> None:
        """A new part of the work begins."""

    def note(self, text: str) -> None:
        """A result worth a line."""

    def epoch(self, done: Epoch) -> None:
        """An epoch of training is done."""

    def bar(self, total: int) -> Any:
        """A context manager giving a function to call with the number of events done."""

    def table(self, title: str, boards: Mapping[str, Scoreboard]) -> None:
        """The comparison of several methods."""


def make_report() -> Report:
    """The best report that this installation and terminal can show."""
    try:
        import rich  # noqa: F401
    except ImportError:
        return PlainReport()
    return RichReport()


@contextmanager
def open_report(tensorboard: Path | None, settings: str) -> Iterator[Report]:
    """The report of a run with these settings, also written to a directory for TensorBoard.

    Raises `TrainingError` where a directory is asked for and tensorboardX is not installed.
    """
    report = make_report()
    if tensorboard is None:
        yield report
        return
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise TrainingError(
            "--tensorboard needs tensorboardX: pip install 'stream-app[tensorboard]'"
        ) from None
    with SummaryWriter(str(tensorboard)) as writer:
        writer.add_text("settings", f"```toml\n{settings}\n```")
        yield TensorBoardReport(report, writer)


class PlainReport:
    """Plain lines, at most ten for a bar."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def stage(self, text: str) -> None:
        click.echo(f"[{time.monotonic() - self._began:6.0f} s] {text}")

    def note(self, text: str) -> None:
        click.echo(f"           {text}")

    def epoch(self, done: Epoch) -> None:
        self.note(epoch_text(done))

    @contextmanager
    def bar(self, total: int) -> Iterator[Callable[[int], None]]:
        step = max(1, total // 10)
        shown = 0

        def update(done: int) -> None:
            nonlocal shown
            if done // step > shown:
                shown = done // step
                self.note(f"{done:,} of {total:,} events")

        yield update

    def table(self, title: str, boards: Mapping[str, Scoreboard]) -> None:
        click.echo(f"{title}\n{COLUMNS[0]:20s}" + "".join(f"{name:>13s}" for name in COLUMNS[1:]))
        for row in table_rows(boards):
            click.echo(f"{row[0]:20s}" + "".join(f"{cell:>13s}" for cell in row[1:]))


class RichReport(PlainReport):
    """The same with a live bar and a drawn table."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console

        self._console = Console(highlight=False)

    @contextmanager
    def bar(self, total: int) -> Iterator[Callable[[int], None]]:
        from rich.progress import Progress

        with Progress(console=self._console, transient=True) as progress:
            task = progress.add_task("events", total=total)
            yield lambda done: progress.update(task, completed=done)

    def table(self, title: str, boards: Mapping[str, Scoreboard]) -> None:
        from rich.table import Table

        drawn = Table(title=title, title_justify="left")
        for at, name in enumerate(COLUMNS):
            drawn.add_column(name, justify="right" if at else "left", no_wrap=True)
        for row in table_rows(boards):
            drawn.add_row(*row)
        self._console.print(drawn)


class TensorBoardReport:
    """Another report, and its figures as events of TensorBoard.

    Epochs with a validation figure are under `validation`, those of the training on the whole
    window under `final`, and the comparison on events held out under `held_out`.
    """

    def __init__(self, shown: Report, writer: Any) -> None:
        self._shown = shown
        self._writer = writer
        self.stage, self.note, self.bar = shown.stage, shown.note, shown.bar

    def epoch(self, done: Epoch) -> None:
        self._shown.epoch(done)
        figures = {"loss": done.loss, "hit_rate": done.hit_rate, "ndcg": done.ndcg}
        validated = done.ndcg == done.ndcg  # not NaN
        phase = "validation" if validated else "final"
        for name, value in figures.items():
            if value == value:
                self._writer.add_scalar(f"{phase}/{name}", value, done.number)
        self._writer.flush()  # to be looked at while the run goes on

    def table(self, title: str, boards: Mapping[str, Scoreboard]) -> None:
        self._shown.table(title, boards)
        for method, board in boards.items():
            for name, value in board.all.asdict().items():
                self._writer.add_scalar(f"held_out/{method}/{name}", value, 0)


def epoch_text(done: Epoch) -> str:
    """One line about an epoch."""
    text = f"epoch {done.number:3d}  loss {done.loss:.3f}"
    if done.ndcg == done.ndcg:  # not NaN: something validated
        text += f"  validation NDCG@10 {done.ndcg:.4f}  hit rate@10 {done.hit_rate:.4f}"
    return text


def table_rows(boards: Mapping[str, Scoreboard]) -> list[tuple[str, ...]]:
    """Cells in the order of `COLUMNS`; the hit rates of returning and of new users come last."""
    return [
        (
            name.replace("_", " "),
            f"{board.all.hit_rate:.4f}",
            f"{board.all.ndcg:.4f}",
            f"{board.all.mrr:.4f}",
            f"{board.returning.hit_rate:.4f}",
            f"{board.new.hit_rate:.4f}",
        )
        for name, board in boards.items()
    ]
