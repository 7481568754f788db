"""Training of a ranker: which candidate of a pool the next event was on, by a softmax over it.

Listwise cross-entropy (ListNet with one relevant item: Cao et al. 2007,
https://doi.org/10.1145/1273496.1273513), in time order: the newest pools are not learned from, and
say when to stop.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from stream_app.bundle.ranker import (
    FEATURES,
    USER_FEATURES,
    RankerItems,
    RankerSpec,
    ReleasedRanker,
)
from stream_app.training.config import TrainingError
from stream_app.training.export import export_module
from stream_app.training.pools import SUMMED, Floats, Pools

NO_RANKER, LINEAR, EXPERTS = "none", "linear", "moe"

NEWEST = 0.2  # share of the pools, by time, that training stops by
SMALLEST = 100  # pools; from fewer nothing is learned that the weighted sum does not know
EPOCHS, PATIENCE = 80, 8
POOLS_A_STEP = 256
LEARNING_RATE, WEIGHT_DECAY = 0.02, 1e-3
NUMBER, HIDDEN = 4, 16  # experts, and hidden units of each
FARTHEST = 8.0
"""Standard deviations from the mean that a feature is cut off at: a live one that is far from what
training saw must not decide alone."""
GOLDEN_POOLS, GOLDEN_COLUMNS = 8, 64
K = 10
STEPS = (0.5, 0.25, 0.1, 0.05)
"""Of the weights of scaled features, nats a standard deviation."""


class Scaling(nn.Module):
    """Features to mean 0 and variance 1; an unknown one, NaN, to the mean."""

    def __init__(self, values: Floats) -> None:
        """`values` `[n, F]` are features as they come; NaN does not count."""
        super().__init__()
        spread = np.maximum(np.nanstd(values, axis=0), 1e-6)
        self.mean = nn.Buffer(torch.from_numpy(np.nanmean(values, axis=0).astype(np.float32)))
        self.scale = nn.Buffer(torch.from_numpy((1 / spread).astype(np.float32)))

    def forward(self, features: Tensor) -> Tensor:
        scaled = ((features - self.mean) * self.scale).clamp(-FARTHEST, FARTHEST)
        return torch.where(torch.isnan(scaled), torch.zeros_like(scaled), scaled)


class LinearRanker(nn.Module):
    """`candidates` `[R, C, F]` to `scores` `[R, C]`: a weighted sum of all scaled features."""

    def __init__(self, scaling: Scaling) -> None:
        super().__init__()
        self.scaling = scaling
        self.weight = nn.Parameter(torch.zeros(len(scaling.mean)))

    def forward(self, candidates: Tensor) -> Tensor:
        # As a matrix of one column: ONNX Runtime is slower with a vector.
        return torch.matmul(self.scaling(candidates), self.weight[:, None]).squeeze(2)


class ExpertsRanker(nn.Module):
    """`candidates` `[R, C, F]` and `users` `[R, U]` to `scores` `[R, C]`: a mixture of experts.

    A gate that sees only the user says how much each expert counts (Jacobs et al. 1991,
    https://doi.org/10.1162/neco.1991.3.1.79). An expert is a weighted sum and a small perceptron.
    """

    def __init__(self, linear: LinearRanker, of_users: Scaling, seed: int) -> None:
        """All experts start near `linear`."""
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        features, users = len(linear.weight), len(of_users.mean)

        def parameter(*shape: int, spread: float) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=random) * spread)

        self.scaling, self.of_users = copy.deepcopy(linear.scaling), of_users
        self.gate = parameter(users, NUMBER, spread=0.3)
        self.prior = nn.Parameter(torch.zeros(NUMBER))
        self.weights = parameter(features, NUMBER, spread=0.05)
        self.weights.data += linear.weight.data[:, None]
        self.hidden = parameter(features, NUMBER * HIDDEN, spread=0.3)
        self.bias = parameter(NUMBER * HIDDEN, spread=0.3)
        self.out = parameter(NUMBER, HIDDEN, spread=0.01)

    def forward(self, candidates: Tensor, users: Tensor) -> Tensor:
        scaled = self.scaling(candidates)
        shares = torch.softmax(torch.matmul(self.of_users(users), self.gate) + self.prior, dim=1)
        hidden = torch.tanh(torch.matmul(scaled, self.hidden) + self.bias)
        # The weights of a user's experts are mixed first: one product a candidate.
        summed = torch.matmul(scaled, torch.matmul(self.weights, shares[:, :, None]))
        out = (shares[:, :, None] * self.out).flatten(1)[:, :, None]
        return (summed + torch.matmul(hidden, out)).squeeze(2)


class Figures(NamedTuple):
    """What a ranker comes to on pools that it has not learned from."""

    loss: float
    """Cross-entropy, nats."""
    ndcg: float
    """NDCG@10 over the pools, all of which hold the item that came next."""


@dataclass(frozen=True)
class FittedRanker:
    """A trained ranker, its inputs by name, and how it did beside the weighted sum."""

    kind: str
    model: LinearRanker | ExpertsRanker
    features: tuple[str, ...]
    user_features: tuple[str, ...]
    golden: tuple[Floats, Floats]
    """Candidates `[R, C, F]` and users `[R, U]` of some pools."""
    learned: Figures
    summed: Figures

    def released(self, items: RankerItems) -> ReleasedRanker:
        """As a bundle holds it; `items` is what it asks about the items of that bundle."""
        inputs = dict(zip(("candidates", "users"), map(torch.from_numpy, self.golden), strict=True))
        pools, columns = torch.export.Dim("pools", min=1), torch.export.Dim("columns", min=1)
        dynamic = {"candidates": {0: pools, 1: columns}, "users": {0: pools}}
        if not self.user_features:
            del inputs["users"], dynamic["users"]
        graph = export_module(self.model, inputs, ["scores"], dynamic)
        spec = RankerSpec(
            kind="moe" if self.kind == EXPERTS else "linear",
            features=self.features,
            user_features=self.user_features,
        )
        return ReleasedRanker(spec, graph, items, *self.golden)


def check_kind(kind: str) -> None:
    """Raise `TrainingError` unless there are rankers of this kind."""
    if kind not in (NO_RANKER, LINEAR, EXPERTS):
        raise TrainingError(f"ranker {kind!r} is unknown; use {NO_RANKER}, {LINEAR} or {EXPERTS}")


def fit_ranker(
    pools: Pools, kind: str, seed: int = 0, features: Collection[str] = FEATURES
) -> FittedRanker:
    """Train a ranker of `kind`, `linear` or `moe`, on pools in time order.

    `features` are those of candidates that it may look at. A feature that is the same or unknown
    everywhere is left out, so that nobody computes it.
    Raises `TrainingError` for too few pools.
    """
    if len(pools) < SMALLEST:
        raise TrainingError(
            f"a ranker needs {SMALLEST} lists whose next item was among the candidates, and the "
            f"validation events gave {len(pools)}; give more data, or --ranker none"
        )
    kept = [place for place in _telling(pools.candidates) if FEATURES[place] in features]
    kept_users = _telling(pools.users) if kind == EXPERTS else []
    pools = pools.keep(kept, kept_users)
    torch.manual_seed(seed)
    learned_from = np.arange(int(len(pools) * (1 - NEWEST)))
    newest = np.arange(len(learned_from), len(pools))
    features_kept = tuple(FEATURES[place] for place in kept)
    model: LinearRanker | ExpertsRanker = _ascended(pools, len(learned_from), features_kept)
    if kind == EXPERTS:
        model = ExpertsRanker(model, Scaling(pools.users[learned_from]), seed)
        _train(model, pools, learned_from, newest, seed)
    return FittedRanker(
        kind,
        model,
        features_kept,
        tuple(USER_FEATURES[place] for place in kept_users),
        _golden(pools),
        _measure(model, pools, newest),
        _measure(None, pools, newest),
    )


def _ascended(pools: Pools, count: int, features: Sequence[str]) -> LinearRanker:
    """The linear ranker with the highest NDCG on the first `count` pools, found from the sum.

    Step by step along one weight after the other (coordinate ascent: Metzler and Croft 2007,
    https://doi.org/10.1007/s10791-006-9019-z). The linear scores with the lowest cross-entropy are
    worse ones at the top of lists than the sum is: so few weights are spent on the many candidates
    that nobody comes to.
    """
    model = LinearRanker(Scaling(pools.candidates[: pools.starts[count]]))
    with torch.no_grad():
        scaled = model.scaling(torch.from_numpy(pools.candidates[: pools.starts[count]])).numpy()
    summed = dict(zip(SUMMED, pools.weights, strict=True))
    weights = np.array([summed.get(name, 0) for name in features], np.float32)
    weights /= model.scaling.scale.numpy()
    scores = scaled @ weights
    best = _mean_gain(pools, count, scores)
    for size in STEPS:
        rose = True
        while rose:
            rose = False
            for feature, step in product(range(len(features)), (size, -size)):
                tried = scores + np.float32(step) * scaled[:, feature]
                if (found := _mean_gain(pools, count, tried)) > best:
                    scores, best, rose = tried, found, True
                    weights[feature] += step
    model.weight.data = torch.from_numpy(weights)
    return model


def _mean_gain(pools: Pools, count: int, scores: Floats) -> float:
    """NDCG@10 of the first `count` pools with these scores `[T]`."""
    starts = pools.starts[:count]
    wanted = scores[starts + pools.targets[:count]].repeat(np.diff(pools.starts[: count + 1]))
    above = np.add.reduceat((scores >= wanted).astype(np.int32), starts) - 1  # ties are behind
    return float(np.where(above < K, 1 / np.log2(above + 2.0), 0.0).mean())


def _train(
    model: nn.Module,
    pools: Pools,
    learned_from: NDArray[np.int64],
    newest: NDArray[np.int64],
    seed: int,
) -> None:
    """Train until the loss on the newest pools does not fall any more, and keep the best."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    random = np.random.default_rng(seed)
    lowest, kept, waited = _measure(model, pools, newest).loss, copy.deepcopy(model.state_dict()), 0
    for _ in range(EPOCHS):
        order = random.permutation(learned_from)
        for start in range(0, len(order), POOLS_A_STEP):
            chosen = order[start : start + POOLS_A_STEP]
            logits, targets = _logits(model, pools, chosen)
            loss = functional.cross_entropy(logits, targets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        found, waited = _measure(model, pools, newest).loss, waited + 1
        if found < lowest:
            lowest, kept, waited = found, copy.deepcopy(model.state_dict()), 0
        elif waited >= PATIENCE:
            break
    model.load_state_dict(kept)


def _logits(
    model: nn.Module | None, pools: Pools, chosen: NDArray[np.int64]
) -> tuple[Tensor, Tensor]:
    """Scores `[m, C]` of some pools, -inf for padding, and the targets `[m]`; None: by the sum."""
    places, held = pools.padded(chosen)
    if model is None:
        scores = torch.from_numpy(pools.sums[places])
    else:
        inputs = [torch.from_numpy(pools.candidates[places])]
        if isinstance(model, ExpertsRanker):
            inputs.append(torch.from_numpy(pools.users[chosen]))
        scores = model(*inputs)
    logits = scores.masked_fill(torch.from_numpy(~held), -torch.inf)
    return logits, torch.from_numpy(pools.targets[chosen])


@torch.no_grad()
def _measure(model: nn.Module | None, pools: Pools, chosen: NDArray[np.int64]) -> Figures:
    losses, gains = 0.0, 0.0
    for start in range(0, len(chosen), POOLS_A_STEP):
        logits, targets = _logits(model, pools, chosen[start : start + POOLS_A_STEP])
        losses += float(functional.cross_entropy(logits, targets, reduction="sum"))
        above = (logits >= logits.gather(1, targets[:, None])).sum(dim=1) - 1  # ties are behind
        gains += float(torch.where(above < K, 1 / torch.log2(above + 2.0), 0.0).sum())
    return Figures(losses / max(1, len(chosen)), gains / max(1, len(chosen)))


def _telling(values: Floats) -> list[int]:
    """The columns of `values` `[n, F]` that hold two different known values."""
    return [
        column
        for column in range(values.shape[1])
        if len(known := values[~np.isnan(values[:, column]), column]) and np.ptp(known) > 0
    ]


def _golden(pools: Pools) -> tuple[Floats, Floats]:
    """The beginning of some pools, the shorter ones with unknown features behind their end."""
    chosen = np.linspace(0, len(pools) - 1, GOLDEN_POOLS).astype(np.int64)
    places, held = pools.padded(chosen)
    candidates = np.where(held[:, :, None], pools.candidates[places], np.float32(np.nan))
    return np.ascontiguousarray(candidates[:, :GOLDEN_COLUMNS]), pools.users[chosen]
