"""What the features of an event are worth: one model per choice, on the same parts of the data.

Trained on the first part, stopped by the second, reported on the last: NDCG@10 of the encoder
alone, ranking every item for every event of a period given the user's past.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stream_app.datasets import EventTable, open_dataset
from stream_app.training.config import ModelConfig, TrainingConfig
from stream_app.training.fit import fit
from stream_app.training.validation import validator

SHARED = Path(os.environ.get("STREAM_APP_SHARED_DATA", "../shared/data"))
DATA = {
    "yoochoose": SHARED / "yoochoose/yoochoose-clicks-100k_train_full.txt",
    "movielens": SHARED / "ml-latest-small",
}
DAY_MS = 86_400_000
NONE: Mapping[str, Any] = {"actions": False, "gaps": "none"}
# What differs from the defaults: of the model, and of training.
CHOICES: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "no features": (NONE, {}),
    "action": ({"gaps": "none"}, {}),
    "gap, scaled log": ({"actions": False}, {}),
    "gap, log buckets": ({"actions": False, "gaps": "buckets"}, {}),
    "gap, both": ({"actions": False, "gaps": "both"}, {}),
    "action + scaled gap (default)": ({}, {}),
    "action + gap buckets": ({"gaps": "buckets"}, {}),
    "default, gain per action": ({"action_gain": True}, {}),
    "default, purchase=2": ({}, {"action_weights": "purchase=2"}),
    "default, action head 0.1": ({}, {"action_loss": 0.1}),
}
OF_ACTIONS = ("action", "default", "gap buckets")
# Repeats are what shops show, and films are seen once. Sessions are short: small batches.
SETTINGS: Mapping[str, dict[str, Any]] = {
    "yoochoose": {"batch_tokens": 512, "item_dropout": 0.0, "min_count": 1, "epochs": 10},
    "movielens": {"batch_tokens": 1024, "epochs": 20},
}


def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(prog="ablation", description=__doc__)
    parser.add_argument("--data", choices=[*DATA], default="movielens")
    parser.add_argument("--kind", default="recurrent")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, help="at most")
    parser.add_argument("--patience", type=int, default=3)
    parser.add_argument("--negatives", type=int, default=0, help="0: full softmax")
    parser.add_argument("--only", nargs="+", choices=[*CHOICES], help="these lines of the table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not DATA[options.data].exists():
        print(f"left out: there is no {DATA[options.data]}")
        return
    table = open_dataset(DATA[options.data])
    settings = SETTINGS[options.data] | {
        "patience": options.patience,
        "negatives": options.negatives,
    }
    if options.epochs:
        settings["epochs"] = options.epochs
    base = TrainingConfig(model=ModelConfig(kind=options.kind), **settings)
    parts = cut(table, options.data)
    print(f"{options.data}, {options.kind}: " + ", ".join(f"{len(part):,}" for part in parts))
    print("| features | validation NDCG@10 | held-out NDCG@10 | epochs | CPU s |")
    print("|---|---|---|---|---|", flush=True)
    chosen = {name: CHOICES[name] for name in options.only or CHOICES}
    some_actions = len(np.unique(table.actions)) > 1
    for name, (model, training) in chosen.items():
        if not some_actions and any(word in name for word in OF_ACTIONS):
            continue
        config = replace(base, model=replace(base.model, **model), **training)
        line = row(name, config, parts, options.seeds, repeats=options.data == "yoochoose")
        print(line, flush=True)


def cut(table: EventTable, data: str) -> tuple[EventTable, EventTable, EventTable]:
    """Events to train on, these with the validation period, and these with the held-out one."""
    if data == "yoochoose":  # whole days, as the shop would be trained every night
        last = int(table.timestamps_ms[-1])
        return table.before(last - 2 * DAY_MS), table.before(last - DAY_MS), table
    window, _ = table.split(0.8)
    return window.split(0.8)[0], window, table


def row(
    name: str,
    config: TrainingConfig,
    parts: tuple[EventTable, EventTable, EventTable],
    seeds: int,
    *,
    repeats: bool,
) -> str:
    """One line of the table: means over seeds, and the spread where there are several."""
    past, window, table = parts
    validate, judge = (
        validator(
            whole, int(whole.timestamps_ms[len(known)]), window=config.window, repeats=repeats
        )
        for known, whole in ((past, window), (window, table))
    )
    figures, epochs, began = [], [], time.process_time()
    for seed in range(seeds):
        learner, best = fit(past, replace(config, seed=seed), validate=validate)
        figures.append((best.ndcg, judge(learner)[1]))
        epochs.append(str(best.number))
    means, spread = np.mean(figures, axis=0), np.std(figures, axis=0)
    cells = [
        f"{mean:.4f}" + (f" ± {std:.4f}" if seeds > 1 else "")
        for mean, std in zip(means, spread, strict=True)
    ]
    seconds = time.process_time() - began
    return f"| {name} | {' | '.join(cells)} | {', '.join(epochs)} | {seconds:.0f} |"


if __name__ == "__main__":
    main()
