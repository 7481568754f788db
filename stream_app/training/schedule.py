"""How the learning rate rises and falls."""

from __future__ import annotations

import math

from stream_app.training.config import TrainingConfig, TrainingError

FALL_FROM, FALL_TO = 0.7, 0.05  # `linear` falls over the last 30 % of the epochs, to 5 %


def linear(done: float) -> float:
    """Share of the highest rate when the share `done` of all epochs is done."""
    return 1 - (1 - FALL_TO) * max(0.0, (done - FALL_FROM) / (1 - FALL_FROM))


def cosine(done: float) -> float:
    """The same, falling along half a cosine from the first epoch on."""
    return FALL_TO + (1 - FALL_TO) * (1 + math.cos(math.pi * done)) / 2


def constant(done: float) -> float:
    """The same, never falling."""
    return 1.0


SCHEDULES = {"linear": linear, "cosine": cosine, "constant": constant}


def epoch_rate(config: TrainingConfig, epoch: int) -> float:
    """Learning rate of an epoch, from 0; raises `TrainingError` for an unknown schedule."""
    shape = SCHEDULES.get(config.schedule)
    if shape is None:
        raise TrainingError(
            f"there is no schedule {config.schedule!r}; use one of {', '.join(SCHEDULES)}"
        )
    return config.learning_rate * max(FALL_TO, shape(min(1.0, epoch / config.epochs)))


def warmup_share(config: TrainingConfig, step: int, steps_of_epoch: int) -> float:
    """What the rate of a step, from 0, is multiplied by; the rise takes an epoch at most."""
    rise = min(config.warmup, steps_of_epoch)
    return min(1.0, (step + 1) / rise) if rise else 1.0
