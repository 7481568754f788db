"""The kind of encoder that the data asks for: each is trained, and what validates best is kept.

Which one is ahead depends on the data: a recurrence on long histories, a transformer on short
sessions. Nothing but a trial on the user's own events tells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream_app.datasets import EventTable
from stream_app.training.config import TrainingConfig
from stream_app.training.fit import Epoch, OnEpoch, OnResume, Validate, fit
from stream_app.training.learner import Learner
from stream_app.training.models import build_encoder

AUTO = "auto"
# The first is the default: a step of it costs 1/40 of reading 50 events again.
TRIED = ("recurrent", "transformer")
MARGIN = 0.01  # by how much NDCG must be higher, relatively, to be worth that: a seed's noise


def fit_best_kind(
    table: EventTable,
    config: TrainingConfig,
    *,
    validate: Validate,
    on_epoch: OnEpoch,
    on_resume: OnResume,
    on_kind: Callable[[str, Epoch], None],
    checkpoint: Path | None = None,
    texts: NDArray[np.float32] | None = None,
) -> tuple[Learner, Epoch]:
    """As `fit`; with `model.kind` of `auto`, the best of all kinds in `TRIED`.

    `on_kind` is told what each came to. Checkpoints have the kind appended to their name. Errors
    are those of `fit`.
    """
    if config.model.kind != AUTO:
        return fit(
            table,
            config,
            validate=validate,
            on_epoch=on_epoch,
            checkpoint=checkpoint,
            on_resume=on_resume,
            texts=texts,
        )
    tried = {kind: replace(config, model=replace(config.model, kind=kind)) for kind in TRIED}
    for one in tried.values():
        build_encoder(one.model)  # sizes that one of them does not take: better said before hours
    kept: tuple[Learner, Epoch] | None = None
    for kind, one in tried.items():
        learner, best = fit(
            table,
            one,
            validate=validate,
            on_epoch=on_epoch,
            checkpoint=checkpoint and checkpoint.with_name(f"{checkpoint.name}.{kind}"),
            on_resume=on_resume,
            texts=texts,
        )
        on_kind(kind, best)
        if kept is None or best.ndcg > kept[1].ndcg * (1 + MARGIN):
            kept = learner, best
    assert kept is not None
    return kept
