"""Cold start on MovieLens: new items by their text, new users by a profile and their first events.

`python -m benchmarks cold [--ml-1m DIR] [--encoder DIR] [--epochs N] [--seeds N]`. MovieLens small
comes with the repository; ML-1M (`ml-1m.txt`, `items_sas_titles.tsv`) does not.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from stream_app.datasets import EventTable, read_movielens, read_sequences
from stream_app.datasets.texts import movie_text, read_item_texts
from stream_app.evaluation.cold import (
    EVENTS_KNOWN,
    ColdSplit,
    K,
    cold_figures,
    cold_user_figure,
    cold_users,
    favourites,
    newest_items,
    random_items,
)
from stream_app.evaluation.histories import Histories
from stream_app.evaluation.lists import top_lists
from stream_app.evaluation.progress import PlainProgress
from stream_app.evaluation.protocols import Split, time_split
from stream_app.text import TextEncoder
from stream_app.training.config import ModelConfig, TrainingConfig
from stream_app.training.evaluated import TrainedEncoder
from stream_app.training.fit import fit
from stream_app.training.learner import Learner
from stream_app.training.sequences import NO_ROW
from stream_app.training.text_export import export_text_encoder
from stream_app.training.texts import ItemTexts
from stream_app.users.actions import PURCHASE
from stream_app.users.features import event_gaps, sequence_features

SMALL = Path(__file__).parents[1] / "examples" / "movielens" / "ml-latest-small"
AT_ONCE = 64  # users encoded together

Floats = NDArray[np.float32]


class Data(NamedTuple):
    """Events, and the text of every item."""

    name: str
    table: EventTable
    texts: dict[str, str]
    encoded: ItemTexts

    @classmethod
    def of(cls, name: str, table: EventTable, texts: dict[str, str], encoder: TextEncoder) -> Data:
        return cls(name, table, texts, ItemTexts.encode(texts, encoder, wanted=set(table.item_ids)))


class AllItems(TrainedEncoder):
    """A trained model as a method under evaluation, with vectors of items that it never saw."""

    def __init__(self, name: str, learner: Learner, vectors: Floats) -> None:
        """`vectors` `[N, d]` of all items of the table; zeros for one without."""
        super().__init__(name, learner.config, PlainProgress())
        rows = np.where(vectors.any(axis=1), np.arange(len(vectors)), NO_ROW)
        learner.vocabulary = replace(learner.vocabulary, rows=rows)
        self._use(learner)
        self._vectors = torch.from_numpy(vectors)


class Encoded:
    """The same for users with few events, which may begin with a profile."""

    def __init__(self, name: str, learner: Learner, vectors: Floats, table: EventTable) -> None:
        """`vectors` `[N, d]` of all items of the table; zeros for one without."""
        self.name = name
        self._learner, self._vectors = learner, vectors
        self._features = _features(table)
        self._without = ~vectors.any(axis=1)
        self.first: Floats | None = None
        """`[B, d]` what each history begins with, where it is not its first event."""

    def fit(self, split: Split) -> None:
        """It is trained already."""

    @torch.no_grad()
    def scores(self, histories: Histories) -> Floats:
        users = np.zeros((len(histories), self._vectors.shape[1]), np.float32)
        for cut, part in histories.blocks(AT_ONCE):
            first = self.first[cut] if self.first is not None else None
            users[cut] = self._users(part, first)
        scores: Floats = users @ self._vectors.T
        scores[:, self._without] = -np.inf
        return scores

    def _users(self, histories: Histories, first: Floats | None) -> Floats:
        window = self._learner.config.window
        events = histories.window(window)
        known = events >= 0
        table = histories.log.table
        item = self._vectors[table.items[events]] * known[..., None]
        features = self._features[events] * known[..., None]
        lengths = np.minimum(histories.lengths, window)
        if first is not None:
            item = np.concatenate([first[:, None], item], axis=1)
            begin = np.broadcast_to(PROFILE_EVENT, (len(first), 1, PROFILE_EVENT.shape[-1]))
            features = np.concatenate([begin, features], axis=1)
            lengths = lengths + 1
        users = np.zeros((len(histories), item.shape[2]), np.float32)
        if item.shape[1]:
            found = self._learner.encoder(
                torch.from_numpy(item.astype(np.float32)), torch.from_numpy(features)
            ).numpy()
            rows = np.flatnonzero(lengths)
            users[rows] = found[rows, lengths[rows] - 1]
        return users


class Popular:
    """The most frequent items of the past, for everybody."""

    name = "popularity"

    def fit(self, split: Split) -> None:
        items = len(split.table.item_ids)
        self._counts = np.bincount(split.past.items, minlength=items).astype(np.float32)

    def scores(self, histories: Histories) -> Floats:
        return np.repeat(self._counts[None], len(histories), axis=0)


class Direct:
    """Cosine of the items to the profile's own vector; the events are not looked at."""

    def __init__(self, name: str, users: Floats, vectors: Floats) -> None:
        self.name = name
        self._users, self._vectors = users, vectors

    def fit(self, split: Split) -> None:
        """Nothing is learned."""

    def scores(self, histories: Histories) -> Floats:
        scores: Floats = self._users @ self._vectors.T
        return scores


PROFILE_EVENT = sequence_features(np.array([PURCHASE], np.uint8), event_gaps(np.zeros(1, np.int64)))
"""A profile enters as a purchase of what it says."""


def main() -> None:
    """Print both tables for MovieLens small, and the first one for ML-1M where it is given."""
    options = _options()
    torch.set_num_threads(1)
    encoder = _encoder(options.encoder)
    print(f"text encoder: {encoder.meta.name}, {encoder.meta.precision}")
    small = Data.of(
        "MovieLens small", read_movielens(SMALL), read_item_texts(SMALL / "movies.csv"), encoder
    )
    config = TrainingConfig(
        epochs=options.epochs, negatives=options.negatives, delta_max=options.delta_max
    )
    results: dict[str, Any] = {}
    if "items" in options.parts:
        title = f"{small.name}, newest 10% of the items"
        cold = newest_items(small.table)
        results[title] = items_table(title, small, cold, config, options.seeds)
    if "users" in options.parts:
        results["users"] = users_table(small, encoder, config, options.seeds)
    if options.ml_1m is not None:
        large = _ml_1m(options.ml_1m, encoder)
        title = f"{large.name}, random 10% of the items"
        sparse = replace(config, epochs=options.ml_1m_epochs, min_count=1)
        results[title] = items_table(title, large, random_items(large.table), sparse, options.seeds)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def items_table(
    title: str,
    data: Data,
    cold: ColdSplit,
    config: TrainingConfig,
    seeds: int,
) -> list[dict[str, Any]]:
    """Ids only, text only, text and delta, each trained on the split's past."""
    split = cold.split
    counts = {name: int((cold.cold[split.test.targets] == want).sum()) for name, want in
              (("warm", False), ("cold", True))}  # fmt: skip
    print(f"\n### {title}: {len(split.past):,} events, {int(cold.cold.sum()):,} cold items, "
          f"{counts['warm']:,} warm and {counts['cold']:,} cold questions\n")  # fmt: skip
    print("| items | seed | NDCG@10 all | warm | cold | HR@10 all | warm | cold | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    rows = []
    for seed in range(seeds):
        for name, delta in (("ids", None), ("text", 0.0), ("text + delta", config.delta_max)):
            began = time.monotonic()
            tried = replace(config, seed=seed, delta_max=delta or 0.0)
            learner, vectors = _train(split, tried, data.encoded if delta is not None else None)
            method = AllItems(name, learner, vectors)
            lists = top_lists(method, split.test.histories, K, repeats=False)
            found = cold_figures(lists, split.test, cold.cold)
            rows.append({"items": name, "seed": seed} | {k: v._asdict() for k, v in found.items()})
            cells = [f"{found[group].ndcg:.4f}" for group in ("all", "warm", "cold")]
            cells += [f"{found[group].hr:.4f}" for group in ("all", "warm", "cold")]
            spent = time.monotonic() - began
            print(f"| {name} | {seed} | {' | '.join(cells)} | {spent:.0f} |", flush=True)
    return rows


def users_table(
    data: Data, encoder: TextEncoder, config: TrainingConfig, seeds: int
) -> list[dict[str, Any]]:
    """New users of the last fifth of the timeline: by profile, by events, by both."""
    split = time_split(data.table)
    asked = cold_users(split)
    print(f"\n### {data.name}, {len(asked.users)} new users, NDCG@10 (HR@10) by events known\n")
    print("| method | seed | " + " | ".join(map(str, EVENTS_KNOWN)) + " |")
    print("|---|---|" + "---|" * len(EVENTS_KNOWN))
    genres = favourites(asked.firsts, lambda item: _genres(data, item))
    titles = ["; ".join(data.texts[data.table.item_ids[at]].split(" (")[0] for at in firsts[:3])
              for firsts in asked.firsts]  # fmt: skip
    rows = [_curve("popularity", 0, asked, lambda _: _fitted(Popular(), split))]
    for seed in range(seeds):
        learner, vectors = _train(split, replace(config, seed=seed), data.encoded)
        model = Encoded("events", learner, vectors, split.table)
        rows.append(_curve("events", seed, asked, lambda _, model=model: model))
        projection = learner.items.projection()
        assert projection is not None
        for name, profile in (("3 genres", genres), ("3 titles as text", titles)):
            first = projection.project(encoder.encode(profile))
            direct = Direct(f"{name}, directly", first, vectors)
            rows.append(_curve(direct.name, seed, asked, lambda _, direct=direct: direct, (0,)))
            both = Encoded(f"{name}, then events", learner, vectors, split.table)
            both.first = first
            rows.append(_curve(both.name, seed, asked, lambda _, both=both: both))
    return rows


def _curve(
    name: str, seed: int, asked: Any, method: Any, known: Sequence[int] = EVENTS_KNOWN
) -> dict[str, Any]:
    found = {}
    for count in known:
        cases = asked.cases[count]
        lists = top_lists(method(count), cases.histories, K, repeats=False)
        found[count] = cold_user_figure(lists, cases)
    cells = [f"{found[n].ndcg:.4f} ({found[n].hr:.3f})" if n in found else "" for n in EVENTS_KNOWN]
    print(f"| {name} | {seed} | {' | '.join(cells)} |", flush=True)
    return {"method": name, "seed": seed} | {str(n): one._asdict() for n, one in found.items()}


def _train(split: Split, config: TrainingConfig, texts: ItemTexts | None) -> tuple[Learner, Floats]:
    """A model of the past of `split`, and vectors of all its items, those it never saw too."""
    rows = texts.rows(split.table.item_ids) if texts is not None else None
    learner, _ = fit(split.past, config, texts=rows)
    projection = learner.items.projection()
    vectors = np.zeros((len(split.table.item_ids), config.model.dim), np.float32)
    if projection is not None and rows is not None:
        vectors[:] = projection.project(rows)
    vocabulary = learner.vocabulary
    vectors[vocabulary.items[: vocabulary.size]] = learner.vectors()
    return learner, vectors


def _features(table: EventTable) -> Floats:
    """Features of every event of the table `[n, f]`, with the gap to its user's event before."""
    order = np.argsort(table.users, kind="stable")
    features = np.empty((len(table), ModelConfig().features), np.float32)
    for events in np.split(order, np.flatnonzero(np.diff(table.users[order])) + 1):
        gaps = event_gaps(table.timestamps_ms[events])
        features[events] = sequence_features(table.actions[events], gaps)
    return features


def _genres(data: Data, item: int) -> list[str]:
    text = data.texts.get(data.table.item_ids[item], "")
    return text.rpartition("). ")[2].split(", ") if "). " in text else []


def _fitted(method: Popular, split: Split) -> Popular:
    method.fit(split)
    return method


def _ml_1m(directory: Path, encoder: TextEncoder) -> Data:
    table = read_sequences(directory / "ml-1m.txt")
    with (directory / "items_sas_titles.tsv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    texts = {row[0]: movie_text(row[2], row[3]) for row in rows if row[0].isdigit()}
    return Data.of("ML-1M", table, texts, encoder)


def _encoder(directory: Path | None) -> TextEncoder:
    if directory is not None:
        return TextEncoder.load(directory)
    with tempfile.TemporaryDirectory() as scratch:
        export_text_encoder(Path(scratch) / "encoder")
        return TextEncoder.load(Path(scratch) / "encoder")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks cold")
    parser.add_argument("--encoder", type=Path, help="an exported text encoder [default: make one]")
    parser.add_argument("--ml-1m", type=Path, help="directory with ML-1M")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--negatives", type=int, default=1024)
    parser.add_argument("--ml-1m-epochs", type=int, default=12)
    parser.add_argument("--delta-max", type=float, default=TrainingConfig().delta_max)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--parts", nargs="*", default=["items", "users"])
    parser.add_argument("--json", type=Path)
    return parser.parse_args(sys.argv[1:])


if __name__ == "__main__":
    main()
