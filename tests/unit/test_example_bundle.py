"""The shipped example: complete, small, and as good as its manifest says, without torch."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from stream_app.bundle import Bundle, load_bundle
from stream_app.datasets import EventTable, read_movielens, read_movielens_titles
from stream_app.evaluation import (
    BaselineLists,
    DecayedPopularity,
    RecommenderLists,
    TransitionCounts,
    past_rows,
    replay,
    users_of,
)
from stream_app.evaluation.baselines import DAY_MS
from stream_app.evaluation.encoder import encoder_score
from stream_app.recommender import Recommender

EXAMPLE = Path(__file__).parents[2] / "examples" / "movielens"
DATA = EXAMPLE / "ml-latest-small"
MAX_BYTES = 4_000_000
STREAMED = 2_500  # events of the short replay: enough to tell the methods apart

RECOMPUTE = """
import sys
from pathlib import Path
from stream_app.bundle import load_bundle
from stream_app.datasets import read_movielens
from stream_app.evaluation.encoder import encoder_score
table = read_movielens(Path(sys.argv[1]) / "ml-latest-small")
bundle = load_bundle(Path(sys.argv[1]) / "bundle")
print(encoder_score(bundle, table, bundle.manifest.data.events)["hit_rate"])
assert "torch" not in sys.modules, "serving must not import torch"
"""


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(EXAMPLE / "bundle")


@pytest.fixture(scope="module")
def table() -> EventTable:
    return read_movielens(DATA)


def test_the_bundle_is_small_enough_to_ship(bundle: Bundle) -> None:
    assert sum(file.stat().st_size for file in bundle.path.iterdir()) <= MAX_BYTES


def test_the_bundle_was_trained_on_the_first_part_only(bundle: Bundle, table: EventTable) -> None:
    trained, streamed = table.split(0.8)
    assert bundle.manifest.data.events == len(trained)
    assert bundle.manifest.data.until_ms == trained.timestamps_ms[-1]
    assert bundle.manifest.data.until_ms <= streamed.timestamps_ms[0]
    known = {trained.item_ids[item] for item in set(trained.items.tolist())}
    assert set(bundle.catalog.ids) == known


def test_every_movie_has_a_title(table: EventTable) -> None:
    assert set(table.item_ids) <= read_movielens_titles(DATA).keys()


def test_the_recorded_metric_is_recomputed_without_torch(bundle: Bundle) -> None:
    recorded = bundle.manifest.metrics["held_out.encoder"]
    assert isinstance(recorded, dict)
    run = subprocess.run(
        [sys.executable, "-c", RECOMPUTE, EXAMPLE], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    # Another CPU may order two items of nearly equal score the other way round.
    assert float(run.stdout) == pytest.approx(recorded["hit_rate"], abs=5e-4)


def test_the_recorded_figures_reach_the_goal(bundle: Bundle) -> None:
    rates = {
        name: figures["hit_rate"]
        for name, figures in bundle.manifest.metrics.items()
        if isinstance(figures, dict)
    }
    ours = rates["held_out.stream-app"]
    assert ours >= 1.3 * rates["held_out.decayed_popularity"]
    assert ours > rates["held_out.transition_counts"]


def test_on_a_short_stream_the_recommender_beats_the_baselines(table: EventTable) -> None:
    bundle = load_bundle(EXAMPLE / "bundle")  # its own: the stream adds items to the catalogue
    past, rest = table.split(0.8)
    half_life_ms = float(str(bundle.manifest.metrics["half_life_days"])) * DAY_MS
    boards = replay(
        rest.part(0, STREAMED),
        {
            "ours": RecommenderLists(Recommender(bundle), past_rows(past)),
            "popular": BaselineLists(DecayedPopularity(half_life_ms), past),
            "transitions": BaselineLists(TransitionCounts(), past),
        },
        users_of(past),
    )
    hits = {name: board.all.hits for name, board in boards.items()}
    assert hits["ours"] >= 1.3 * hits["popular"]
    assert hits["ours"] > hits["transitions"]


def test_one_event_of_a_stranger_gives_a_full_list(table: EventTable) -> None:
    recommender = Recommender.load(EXAMPLE / "bundle")
    (event,) = islice(table.messages(), 1)
    (made,) = recommender.recommend([event])
    assert len(made.items) == 10
    assert event.item_id not in {item.item_id for item in made.items}


def test_the_encoder_alone_is_better_than_transitions(bundle: Bundle, table: EventTable) -> None:
    score = encoder_score(bundle, table, bundle.manifest.data.events)
    transitions = bundle.manifest.metrics["held_out.transition_counts"]
    assert isinstance(transitions, dict)
    assert score["predictions"] == transitions["predictions"]
    assert score["hit_rate"] > transitions["hit_rate"]
