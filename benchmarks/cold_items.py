"""Cold items: how often items without an event are found, and what that costs the others."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cold_models import AllItems, Data, train
from stream_app.evaluation.bootstrap import Bootstrap, Interval, interval, mean_of, sums_of
from stream_app.evaluation.cold import ColdSplit, K, cold_figures
from stream_app.evaluation.lists import top_lists
from stream_app.evaluation.metrics import accuracy, places_of
from stream_app.evaluation.protocols import Cases
from stream_app.training.config import TrainingConfig

IDS, TEXT, BOTH = "ids", "text", "text + delta"
GROUPS = ("all", "warm", "cold")
Values = NDArray[np.float64]


def items_table(
    title: str, data: Data, cold: ColdSplit, config: TrainingConfig, seeds: int
) -> list[dict[str, Any]]:
    """Ids only, text only, text and delta, each trained on the split's past, with every seed."""
    split, cases = cold.split, cold.split.test
    of_cold = cold.cold[cases.targets]
    print(f"\n### {title}: {len(split.past):,} events, {int(cold.cold.sum()):,} cold items; "
          f"{int((~of_cold).sum()):,} warm and {int(of_cold.sum()):,} cold questions of "
          f"{len(np.unique(cases.users)):,} users\n")  # fmt: skip
    print("| items | seed | NDCG@10 all | warm | cold | HR@10 all | warm | cold | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    rows = []
    ndcg: dict[str, list[Values]] = {IDS: [], TEXT: [], BOTH: []}
    for seed in range(seeds):
        for name in ndcg:
            began = time.monotonic()
            tried = replace(config, seed=seed, delta_max=config.delta_max if name == BOTH else 0.0)
            learner, vectors = train(split, tried, data.encoded if name != IDS else None)
            method = AllItems(name, learner, vectors)
            lists = top_lists(method, cases.histories, K, repeats=False)
            ndcg[name].append(accuracy(places_of(lists, cases), cases.offsets, K)["ndcg"])
            found = cold_figures(lists, cases, cold.cold)
            rows.append({"items": name, "seed": seed} | {k: v._asdict() for k, v in found.items()})
            cells = [f"{found[group].ndcg:.4f}" for group in GROUPS]
            cells += [f"{found[group].hr:.4f}" for group in GROUPS]
            spent = time.monotonic() - began
            print(f"| {name} | {seed} | {' | '.join(cells)} | {spent:.0f} |", flush=True)
    means = {name: np.mean(values, axis=0) for name, values in ndcg.items()}
    groups = dict(zip(GROUPS, (np.ones(len(cases), bool), ~of_cold, of_cold), strict=True))
    print(f"\nNDCG@10 against ids, means over {seeds} seeds; 95 % intervals over users:\n")
    for name in (TEXT, BOTH):
        for group, chosen in groups.items():
            one = difference(means[name], means[IDS], cases, chosen)
            share = one.value / means[IDS][chosen].mean() if means[IDS][chosen].any() else np.nan
            print(f"- {name}, {group}: {one.value:+.4f} [{one.low:+.4f}, {one.high:+.4f}]"
                  + (f", {share:+.1%}" if np.isfinite(share) else ""))  # fmt: skip
    return rows


def difference(values: Values, others: Values, cases: Cases, chosen: NDArray[np.bool_]) -> Interval:
    """Mean of `values - others` `[C]` over the `chosen` `[C]` questions, bootstrap over users."""
    users, rows = np.unique(cases.users[chosen], return_inverse=True)
    sums = sums_of((values - others)[chosen], rows, len(users))
    draws = Bootstrap(len(users), seed=0).means([sums])[:, 0]
    return interval(mean_of(sums), draws)
