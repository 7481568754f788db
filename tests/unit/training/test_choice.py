"""`kind: auto`: every kind is tried on the data, and the default needs a reason to be left."""

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")

from stream_app.training.choice import AUTO, TRIED, fit_best_kind  # noqa: E402
from stream_app.training.config import ModelConfig, TrainingConfig, TrainingError  # noqa: E402
from stream_app.training.fit import Epoch  # noqa: E402
from stream_app.training.learner import Learner  # noqa: E402

from .markov import markov_table  # noqa: E402

CONFIG = TrainingConfig(
    model=ModelConfig(kind=AUTO, dim=8, width=8, blocks=1), epochs=2, min_count=1
)


def chosen(
    figures: dict[str, float], config: TrainingConfig = CONFIG, checkpoint: Path | None = None
) -> tuple[Learner, Epoch, list[str], list[tuple[int, str]]]:
    """What is kept where each kind validates as in `figures`, which were tried, what resumed."""
    tried: list[str] = []
    resumed: list[tuple[int, str]] = []
    learner, best = fit_best_kind(
        markov_table(users=6, length=8),
        config,
        validate=lambda learner: (0.5, figures[learner.config.model.kind]),
        on_epoch=lambda _: None,
        on_resume=lambda epoch, path: resumed.append((epoch, path.name)),
        on_kind=lambda kind, _: tried.append(kind),
        checkpoint=checkpoint,
    )
    return learner, best, tried, resumed


@pytest.mark.parametrize(
    ("transformer", "kept"), [(0.2, "recurrent"), (0.3015, "recurrent"), (0.31, "transformer")]
)
def test_the_better_kind_is_kept_and_the_default_where_they_are_level(
    transformer: float, kept: str
) -> None:
    figures = {"recurrent": 0.3, "transformer": transformer}
    learner, best, tried, _ = chosen(figures)
    assert learner.config.model.kind == kept
    assert best.ndcg == figures[kept]
    assert tried == list(TRIED)


def test_a_kind_that_is_named_is_not_compared() -> None:
    gru = replace(CONFIG, model=replace(CONFIG.model, kind="gru"))
    learner, _, tried, _ = chosen({"gru": 0.1}, gru)
    assert learner.config.model.kind == "gru"
    assert tried == []


def test_sizes_that_one_of_the_kinds_does_not_take_are_refused_before_any_is_trained() -> None:
    """`heads` means nothing to the recurrence, which would be trained first."""
    tried: list[int] = []
    odd = replace(CONFIG, model=replace(CONFIG.model, heads=3))
    with pytest.raises(TrainingError, match="a dim of 8 does not split into 3 heads"):
        fit_best_kind(
            markov_table(users=6, length=8),
            odd,
            validate=lambda _: (0.5, 0.5),
            on_epoch=lambda epoch: tried.append(epoch.number),
            on_resume=lambda *_: None,
            on_kind=lambda *_: None,
        )
    assert not tried


def test_a_comparison_that_was_stopped_goes_on(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run"
    figures = {"recurrent": 0.1, "transformer": 0.2}
    chosen(figures, checkpoint=checkpoint)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.recurrent", "run.transformer"]
    learner, _, _, resumed = chosen(figures, checkpoint=checkpoint)
    assert learner.config.model.kind == "transformer"
    assert resumed == [(2, "run.recurrent"), (2, "run.transformer")]
