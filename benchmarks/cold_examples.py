"""What somebody gets of whom nothing, or hardly anything, is known: lists with their titles.

`python -m benchmarks cold-examples --encoder DIR`, with the bundle of the repository: the examples
of docs/cold-users.md.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

import numpy as np

from schemas import Click, Item, Profile, Recommendation, RecommendationRequest
from stream_app.recommender import Recommender
from stream_app.text import TextEncoder
from stream_app.text.items import read_items

EXAMPLE = Path(__file__).parents[1] / "examples" / "movielens"
QUERIES = (
    "dark science fiction about robots",
    "films about the sea",
    "a funny family movie with animals",
    "japanese animation",
    "zombies",
    "christmas",
    "documentary about music",
    "western with cowboys",
    "star wars",
    "vampires",
)
NEW = Item(item_id="new", title="Robots of the Deep (2027)", categories=("Animation", "Children"))


def main() -> None:
    """Print the lists."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks cold-examples")
    parser.add_argument("--encoder", type=Path, required=True, help="an exported text encoder")
    encoder = TextEncoder.load(parser.parse_args(sys.argv[1:]).encoder)
    titles = _titles()
    served = Recommender.load(EXAMPLE / "bundle", text_encoder=None)
    served.read_texts_with(encoder)

    def show(what: str, made: Recommendation, count: int = 10) -> None:
        names = [titles.get(item.item_id, item.item_id) for item in made.items[:count]]
        print(f"- **{what}**: {'; '.join(names)}", flush=True)

    for query in QUERIES:
        (made,) = served.answer(RecommendationRequest(user_id="x", request_id="q", query=query))
        show(query, made)
    print()
    (made,) = served.answer(
        RecommendationRequest(user_id="x", request_id="q", context={"page": "home"})
    )
    show("context only", made)
    (made,) = served.introduce(Profile(user_id="ann", text="Animation for children: Toy Story"))
    show("a profile, no event", made)
    (made,) = served.recommend([Click(user_id="ann", item_id="1", timestamp_ms=1)])
    show("the profile and Toy Story", made)
    (made,) = served.recommend([Click(user_id="bob", item_id="1", timestamp_ms=1)])
    show("Toy Story alone", made)
    served.catalogue.apply([("new", NEW)], [("new", read_items([NEW], encoder)[0])])
    titles["new"] = NEW.title or ""
    (made,) = served.recommend([Click(user_id="eve", item_id="new", timestamp_ms=1)])
    show("a click on a film that joined a moment ago", made)
    print(f"\nreading a query: {_cost(encoder):.1f} ms at the median")


def _titles() -> dict[str, str]:
    with (EXAMPLE / "ml-latest-small" / "movies.csv").open(encoding="utf-8") as file:
        return {row["movieId"]: row["title"] for row in csv.DictReader(file)}


def _cost(encoder: TextEncoder) -> float:
    taken = []
    for query in QUERIES * 10:
        began = time.thread_time()
        encoder.encode([query])
        taken.append(time.thread_time() - began)
    return float(np.median(taken)) * 1e3


if __name__ == "__main__":
    main()
