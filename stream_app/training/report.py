"""What a training run shows, and what TensorBoard keeps of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from stream_app.evaluation import Scoreboard
from stream_app.evaluation.progress import Progress, make_progress
from stream_app.training.config import TrainingError
from stream_app.training.fit import Epoch

COLUMNS = ("method", "hit rate@10", "NDCG@10", "MRR@10", "returning", "new users")


class Report:
    """Where a run tells how far it is."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self.stage, self.note = shown.stage, shown.note

    def epoch(self, done: Epoch) -> None:
        """An epoch of training is done."""
        self.note(epoch_text(done))

    def resumed(self, epoch: int, checkpoint: Path) -> None:
        """A run that was stopped goes on."""
        self.note(f"going on after epoch {epoch}, from {checkpoint}")

    def bar(self, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """A context manager giving a function to call with the number of events done."""
        return self._shown.bar(total, "events")

    def table(self, title: str, boards: Mapping[str, Scoreboard]) -> None:
        """The comparison of several methods."""
        self._shown.table(title, COLUMNS, table_rows(boards))


def make_report() -> Report:
    """The best report that this installation and terminal can show."""
    return Report(make_progress())


@contextmanager
def open_report(tensorboard: Path | None, settings: str) -> Iterator[Report]:
    """The report of a run with these settings, also written to a directory for TensorBoard.

    Raises `TrainingError` where a directory is asked for and tensorboardX is not installed.
    """
    if tensorboard is None:
        yield make_report()
        return
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise TrainingError(
            "--tensorboard needs tensorboardX: pip install 'stream-app[tensorboard]'"
        ) from None
    with SummaryWriter(str(tensorboard)) as writer:
        writer.add_text("settings", f"```toml\n{settings}\n```")
        yield TensorBoardReport(make_progress(), writer)


class TensorBoardReport(Report):
    """A report, and its figures as events of TensorBoard.

    Epochs with a validation figure are under `validation/KIND`, those of the training on the whole
    window under `final/KIND`, and the comparison on events held out under `held_out`.
    """

    def __init__(self, shown: Progress, writer: Any) -> None:
        super().__init__(shown)
        self._writer = writer

    def epoch(self, done: Epoch) -> None:
        super().epoch(done)
        figures = {"loss": done.loss, "hit_rate": done.hit_rate, "ndcg": done.ndcg}
        validated = done.ndcg == done.ndcg  # not NaN
        phase = "validation" if validated else "final"
        for name, value in figures.items():
            if value == value:
                self._writer.add_scalar(f"{phase}/{done.kind}/{name}", value, done.number)
        self._writer.flush()  # to be looked at while the run goes on

    def table(self, title: str, boards: Mapping[str, Scoreboard]) -> None:
        super().table(title, boards)
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
