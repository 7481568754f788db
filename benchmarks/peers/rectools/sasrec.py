"""RecTools' SASRec on questions of `stream-app evaluate`: an opponent that is not ours.

Runs in an environment of its own (README.md beside this file) and imports nothing of this project.
Trains on the events of the part `train`, stops by the loss on `validation`, and writes for each
question a list made from all events known there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    seed_everything(options.seed, workers=True)
    events = pd.read_csv(options.questions / "events.csv", dtype={"user_id": str, "item_id": str})
    lines = (options.questions / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    known = {one["user_id"]: one["known"] for one in map(json.loads, lines)}
    if len(known) < len(lines):
        raise SystemExit("RecTools answers one question a user: use leave-one-out or --basket")
    began = time.monotonic()
    lists = recommend(options, interactions(events), events["part"].to_numpy(), known)
    with options.out.open("w", encoding="utf-8") as out:
        for user, items in lists.items():
            out.write(json.dumps({"user_id": user, "items": items}) + "\n")
    print(f"{len(lists)} lists in {time.monotonic() - began:.0f} s -> {options.out}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("questions", type=Path, help="directory of evaluate --write-questions")
    parser.add_argument("out", type=Path, help="file for evaluate --lists NAME=FILE")
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--length", type=int, default=200, help="events of a history that count")
    parser.add_argument("--loss", default="sampled_softmax", help="softmax, BCE, gBCE, ...")
    parser.add_argument("--negatives", type=int, default=256, help="of a sampled loss")
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--batch", type=int, default=128, help="users in a step")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--epochs", type=int, default=100, help="at most")
    parser.add_argument("--patience", type=int, default=5)
    parser.add_argument("--minutes", type=int, default=24 * 60, help="of training, at most")
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def interactions(events: pd.DataFrame) -> pd.DataFrame:
    """Events as RecTools wants them; their place stands for the time, so that none are equal."""
    return pd.DataFrame(
        {
            Columns.User: events["user_id"],
            Columns.Item: events["item_id"],
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(np.arange(len(events)), unit="s"),
        }
    )


def recommend(
    options: argparse.Namespace, table: pd.DataFrame, part: np.ndarray, known: dict[str, int]
) -> dict[str, list[str]]:
    """Train, and return the list of each user."""
    learned = table[part != "later"]
    with tempfile.TemporaryDirectory() as scratch:
        model = SASRecModel(
            n_blocks=options.blocks,
            n_heads=options.heads,
            n_factors=options.factors,
            dropout_rate=options.dropout,
            session_max_len=options.length,
            loss=options.loss,
            n_negatives=options.negatives,
            epochs=options.epochs,
            batch_size=options.batch,
            lr=options.learning_rate,
            deterministic=True,
            get_val_mask_func=validation_mask(part == "validation"),
            get_trainer_func=lambda: trainer(options, scratch),
            recommend_torch_device="cpu",
        )
        model.fit(Dataset.construct(learned))
        # RecTools trains with a copy of the trainer, whose checkpoint it is.
        kept = model.fit_trainer.checkpoint_callback.best_model_path
        model.load_weights_from_checkpoint(kept)
    number = table.groupby(Columns.User).cumcount()
    histories = table[number < table[Columns.User].map(known).fillna(0)]
    ranked = model.recommend(
        users=list(known),
        dataset=Dataset.construct(histories),
        k=options.k,
        filter_viewed=True,
        on_unsupported_targets="ignore",
    )
    return ranked.groupby(Columns.User)[Columns.Item].apply(list).to_dict()


def validation_mask(validation: np.ndarray):
    """The function by which RecTools learns which events it must not train on."""

    def mask(frame: pd.DataFrame) -> np.ndarray:
        seconds = frame[Columns.Datetime].to_numpy().astype("datetime64[s]").astype(np.int64)
        return validation[seconds]

    return mask


def trainer(options: argparse.Namespace, scratch: str) -> Trainer:
    best = ModelCheckpoint(scratch, monitor="val_loss", mode="min")
    return Trainer(
        accelerator="cpu",
        devices=1,
        min_epochs=1,
        max_epochs=options.epochs,
        max_time={"minutes": options.minutes},
        deterministic=True,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
        callbacks=[EarlyStopping("val_loss", patience=options.patience), best, Progress()],
    )


class Progress(Callback):
    """One line for each epoch."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def on_validation_epoch_end(self, trainer: Trainer, _: object) -> None:
        loss = float(trainer.callback_metrics.get("val_loss", float("nan")))
        seconds = time.monotonic() - self._began
        print(f"epoch {trainer.current_epoch + 1} val_loss {loss:.4f} {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
