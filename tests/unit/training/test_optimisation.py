"""The average of the weights, and the course of the learning rate."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")

from stream_app.training.average import WeightAverage  # noqa: E402
from stream_app.training.config import TrainingConfig, TrainingError  # noqa: E402
from stream_app.training.schedule import epoch_rate, warmup_share  # noqa: E402

CONFIG = TrainingConfig(epochs=10, learning_rate=1.0)


def test_the_average_follows_the_weights_in_training() -> None:
    weight = torch.zeros(3)
    average = WeightAverage([weight], 0.5)
    expected, seen = torch.zeros(3), torch.zeros(3)
    for step in range(5):
        with average:
            torch.testing.assert_close(weight, seen)  # training goes on from its own weights
            seen = weight.add_(1.0).clone()
            average.update()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * seen
        torch.testing.assert_close(weight, expected)


def test_without_decay_the_weights_are_those_in_training() -> None:
    weight = torch.zeros(3)
    average = WeightAverage([weight], 0.0)
    for _ in range(3):
        with average:
            weight += 1.0
            average.update()
    torch.testing.assert_close(weight, torch.full((3,), 3.0))


def test_an_average_goes_on_from_its_progress() -> None:
    whole, part, rest = torch.zeros(2), torch.zeros(2), torch.zeros(2)
    averages = [WeightAverage([one], 0.9) for one in (whole, part)]

    def train(weight: torch.Tensor, average: WeightAverage) -> None:
        with average:
            weight += 1.0
            average.update()

    for _ in range(4):
        train(whole, averages[0])
    for _ in range(2):
        train(part, averages[1])
    rest.copy_(part)
    resumed = WeightAverage([rest], 0.9)
    resumed.set_progress(averages[1].progress())
    for _ in range(2):
        train(rest, resumed)
    torch.testing.assert_close(rest, whole)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("linear", {0: 1.0, 7: 1.0, 10: 0.05}),
        ("cosine", {0: 1.0, 5: 0.525, 10: 0.05, 12: 0.05}),
        ("constant", {0: 1.0, 10: 1.0}),
    ],
)
def test_the_rate_falls_as_the_schedule_says(schedule: str, rates: dict[int, float]) -> None:
    config = replace(CONFIG, schedule=schedule)
    assert {at: epoch_rate(config, at) for at in rates} == pytest.approx(rates)


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(TrainingError, match="no schedule 'steps'; use one of linear, cosine"):
        epoch_rate(replace(CONFIG, schedule="steps"), 0)


def test_the_rate_rises_over_the_first_steps_but_never_longer_than_an_epoch() -> None:
    assert [warmup_share(replace(CONFIG, warmup=4), at, 100) for at in range(5)] == [
        0.25,
        0.5,
        0.75,
        1.0,
        1.0,
    ]
    assert warmup_share(replace(CONFIG, warmup=100), 1, 2) == 1.0
    assert warmup_share(replace(CONFIG, warmup=0), 0, 100) == 1.0
