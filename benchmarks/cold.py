"""Cold start on MovieLens: new items by their text, new users by a profile and their first events.

`python -m benchmarks cold [--parts items users ml-1m] [--seeds N] [--encoder DIR] [--ml-1m DIR]`,
with the settings of `benchmarks/configs/cold.toml` or another `--config`. MovieLens small comes
with the repository; ML-1M (`ml-1m.txt`, `items_sas_titles.tsv`) does not.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.cold_items import items_table
from benchmarks.cold_models import Data
from benchmarks.cold_users import users_table
from stream_app.datasets import read_movielens, read_sequences
from stream_app.datasets.texts import movie_text, read_item_texts
from stream_app.evaluation.cold import newest_items, random_items
from stream_app.text import TextEncoder
from stream_app.training.settings_file import load_config
from stream_app.training.text_export import export_text_encoder

SMALL = Path(__file__).parents[1] / "examples" / "movielens" / "ml-latest-small"
SETTINGS = Path(__file__).parent / "configs" / "cold.toml"
ITEMS, USERS, ML_1M = "items", "users", "ml-1m"


def main() -> None:
    """Print the tables that were asked for."""
    options = _options()
    torch.set_num_threads(1)
    encoder = _encoder(options.encoder)
    config = load_config(options.config, {})
    print(f"text encoder: {encoder.meta.name}, {encoder.meta.precision}; {options.config.name}")
    results: dict[str, Any] = {}
    if ITEMS in options.parts or USERS in options.parts:
        texts = read_item_texts(SMALL / "movies.csv")
        small = Data.of("MovieLens small", read_movielens(SMALL), texts, encoder)
        if ITEMS in options.parts:
            title = f"{small.name}, newest 10% of the items"
            cold = newest_items(small.table)
            results[ITEMS] = items_table(title, small, cold, config, options.seeds)
        if USERS in options.parts:
            results[USERS] = users_table(small, encoder, config, options.seeds)
    if ML_1M in options.parts:
        large = _ml_1m(options.ml_1m, encoder)
        title = f"{large.name}, random 10% of the items"
        cold = random_items(large.table)
        results[ML_1M] = items_table(title, large, cold, config, options.seeds)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


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
    parser.add_argument("--parts", nargs="+", choices=(ITEMS, USERS, ML_1M), default=[ITEMS, USERS])
    parser.add_argument("--encoder", type=Path, help="an exported text encoder [default: make one]")
    parser.add_argument("--config", type=Path, default=SETTINGS, help="settings of training, TOML")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--ml-1m", type=Path, help="directory with ML-1M")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(sys.argv[1:])
    if ML_1M in options.parts and not options.ml_1m:
        parser.error(f"the part {ML_1M} needs --ml-1m DIR")
    return options


if __name__ == "__main__":
    main()
