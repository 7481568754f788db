"""Rankers learn what a weighted sum cannot say, and are exported as they are."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from click.testing import CliRunner
from small_ranker import NumpyRanker, with_ranker
from small_release import small_release

from schemas import Item
from stream_app.bundle.ranker import FEATURES, USER_FEATURES, Features, OnnxRanker, RankerItems
from stream_app.cli.train import command
from stream_app.datasets import EventTable
from stream_app.datasets.events import Row
from stream_app.evaluation.replay import RecommenderLists
from stream_app.recommender import Recommender
from stream_app.users.actions import action_code

torch = pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")

from stream_app.training.config import TrainingError  # noqa: E402
from stream_app.training.pools import Pools, collect_pools  # noqa: E402
from stream_app.training.ranker import FittedRanker, check_kind, fit_ranker  # noqa: E402

from .test_train_command import write_events  # noqa: E402

AFFINITY, TRANSITION, POPULARITY, PRICE = (
    FEATURES.index(name) for name in ("affinity", "transition", "popularity", "price")
)
Truth = Callable[[np.ndarray, np.ndarray], np.ndarray]


def made_up(truth: Truth, pools: int = 3000, columns: int = 12) -> Pools:
    """Pools whose next item is drawn by a softmax over `truth(candidates, users)`."""
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    candidates = random.standard_normal((pools, columns, len(FEATURES))).astype(np.float32)
    candidates[:, :, AFFINITY] = 3 * candidates[:, :, AFFINITY] + 5
    candidates[:, :, PRICE] = np.nan
    users = random.standard_normal((pools, len(USER_FEATURES))).astype(np.float32)
    logits = truth(candidates, users)
    targets = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)
    flat = candidates.reshape(-1, len(FEATURES))
    sums = flat[:, AFFINITY] / 3 + flat[:, TRANSITION] + flat[:, POPULARITY]
    return Pools(flat, np.arange(pools + 1) * columns, users, targets, sums, (1 / 3, 1, 1), 0)


def by_the_user(candidates: np.ndarray, users: np.ndarray) -> np.ndarray:
    """Users who did much go by their taste, others by what is popular."""
    much = users[:, USER_FEATURES.index("events")][:, None] > 0
    return np.where(much, candidates[:, :, AFFINITY] - 5, 3 * candidates[:, :, POPULARITY])


def test_a_linear_ranker_finds_what_speaks_for_an_item() -> None:
    pools = made_up(lambda of, _: 0.5 * of[:, :, AFFINITY] - 1.5 * of[:, :, TRANSITION])
    fitted = fit_ranker(pools, "linear")
    weights = fitted.model.weight.detach() * fitted.model.scaling.scale
    found = dict(zip(fitted.features, weights.tolist(), strict=True))
    assert "price" not in found  # never known: nobody has to compute it
    assert found["transition"] / found["affinity"] == pytest.approx(-3, rel=0.3)
    others = [abs(found[name]) for name in found if name not in ("affinity", "transition")]
    assert max(others) < 0.3 * abs(found["transition"])
    assert fitted.user_features == ()
    assert fitted.learned.ndcg > fitted.summed.ndcg + 0.1


def test_a_linear_ranker_is_not_worse_than_the_sum_where_the_sum_is_right() -> None:
    pools = made_up(lambda of, _: of[:, :, AFFINITY] / 3 + of[:, :, TRANSITION])
    fitted = fit_ranker(pools, "linear")
    assert fitted.learned.ndcg >= fitted.summed.ndcg - 0.01


def test_experts_learn_what_no_sum_can_say() -> None:
    pools = made_up(by_the_user)
    linear, experts = (fit_ranker(pools, kind) for kind in ("linear", "moe"))
    assert experts.learned.loss < linear.learned.loss - 0.2
    assert experts.learned.ndcg > linear.learned.ndcg + 0.05
    assert linear.learned.ndcg > linear.summed.ndcg


class Exported(NamedTuple):
    fitted: FittedRanker
    ranker: OnnxRanker

    def score(self, candidates: np.ndarray, users: np.ndarray) -> np.ndarray:
        nothing = np.zeros(candidates.shape[:2], np.int32)
        floats = (candidates.astype(np.float32), users.astype(np.float32))
        return self.ranker.score(Features(*floats, nothing, nothing == 0))


@pytest.fixture(scope="module", params=["linear", "moe"])
def exported(request: pytest.FixtureRequest) -> Exported:
    """A ranker and its graph: exporting takes seconds."""
    fitted = fit_ranker(made_up(by_the_user, 300), request.param)
    items = RankerItems(np.zeros(4, np.int64), np.zeros((4, 8), np.float16))
    released = fitted.released(items)
    return Exported(fitted, OnnxRanker(released.spec, released.graph))


def test_the_graph_computes_what_the_model_does(exported: Exported) -> None:
    fitted = exported.fitted
    random = np.random.default_rng(1)
    for rows, columns in ((1, 1), (7, 3), (2, 200)):
        candidates = random.standard_normal((rows, columns, len(fitted.features))) * 4
        candidates[random.random(candidates.shape) < 0.2] = np.nan
        users = random.standard_normal((rows, len(fitted.user_features)))
        users[random.random(users.shape) < 0.2] = np.nan
        inputs = [torch.from_numpy(one.astype(np.float32)) for one in (candidates, users)]
        with torch.no_grad():
            expected = fitted.model(*inputs[: 2 if fitted.user_features else 1]).numpy()
        found = exported.score(candidates, users)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_scores_are_finite_whatever_comes_in(exported: Exported, value: float) -> None:
    candidates = np.full((2, 3, len(exported.fitted.features)), value)
    users = np.full((2, len(exported.fitted.user_features)), value)
    assert np.isfinite(exported.score(candidates, users)).all()


def test_the_same_seed_gives_the_same_ranker() -> None:
    pools = made_up(by_the_user, 200)
    one, again, other = (fit_ranker(pools, "moe", seed).model.gate for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_too_few_lists_are_refused() -> None:
    with pytest.raises(TrainingError, match="the validation events gave 99; give more data, or --"):
        fit_ranker(made_up(by_the_user, 99), "linear")


def test_a_kind_that_there_is_not_is_refused() -> None:
    with pytest.raises(TrainingError, match="ranker 'trees' is unknown; use none, linear or moe"):
        check_kind("trees")


def stream_of(users: int = 6, length: int = 8) -> EventTable:
    random = np.random.default_rng(3)
    rows = [
        Row(f"u{user}", f"item-{random.integers(50)}", at * 60_000 + user, action_code("click"))
        for at in range(length)
        for user in range(users)
    ]
    return EventTable.from_rows(rows, "made up")


def test_pools_hold_what_a_worker_tells_its_ranker_before_the_next_event() -> None:
    stream = stream_of()
    scored = frozenset({"u1", "u4"})
    asked = with_ranker(small_release(45)).ranker_items
    assert asked is not None
    pools = collect_pools(small_release(45), asked, {}, stream, scored)

    ranker = NumpyRanker(user_features=USER_FEATURES)
    bundle = dataclasses.replace(small_release(45), ranker=ranker, ranker_items=asked)
    recommender = Recommender(bundle)
    worker = RecommenderLists(recommender, {})
    told: dict[str, Features] = {}
    found, missed = [], 0
    for event in stream.messages():
        if (features := told.get(event.user_id)) is not None:
            held = features.open[0]
            items = features.items[0][held].tolist()
            wanted = recommender.bundle.catalog.index_of(event.item_id)
            if wanted in items:
                candidates = features.candidates[0][held]
                found.append((candidates, features.users[0], items.index(wanted)))
            else:
                missed += 1
        worker.observe(event)
        if event.user_id in scored:
            told[event.user_id] = ranker.seen[-1]
    assert len(pools) == len(found) > 3
    assert pools.missed == missed > 0
    for at, (candidates, users, target) in enumerate(found):
        part = slice(*pools.starts[at : at + 2])
        np.testing.assert_array_equal(pools.candidates[part], candidates)
        np.testing.assert_array_equal(pools.users[at], users)
        assert pools.targets[at] == target


def test_what_producers_say_of_items_is_known_as_it_was_at_the_time() -> None:
    stream = stream_of()
    asked = with_ranker(small_release(45)).ranker_items
    assert asked is not None
    later_ms = int(stream.timestamps_ms[-1]) + 1
    listed = [
        Item(item_id=f"item-{number}", price=1.0 + number, available_until_ms=later_ms)
        for number in range(40)
    ]
    listed.append(Item(item_id="item-40", available_from_ms=later_ms))
    scored = frozenset({"u1", "u4"})
    pools = collect_pools(small_release(45), asked, {}, stream, scored, listed)
    assert len(pools) > 3
    assert not np.isnan(pools.candidates[:, PRICE]).all()
    plain = collect_pools(small_release(45), asked, {}, stream, scored)
    assert np.isnan(plain.candidates[:, PRICE]).all()


@pytest.mark.parametrize(
    ("ranker", "line", "said"),
    [
        ("none", '{"item_id": "i1"}', "--items is read by a ranker"),
        ("linear", '{"price": 3}', r"items.jsonl, line 1: `\$.item_id` is missing"),
    ],
)
def test_items_that_cannot_be_used_are_refused(
    tmp_path: Path, ranker: str, line: str, said: str
) -> None:
    events = write_events(tmp_path / "events.csv", users=10)
    items = tmp_path / "items.jsonl"
    items.write_text(line)
    options = {"--events": events, "--out": tmp_path / "b", "--items": items, "--ranker": ranker}
    arguments = [str(part) for option in options.items() for part in option]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code != 0
    assert re.search(said, result.output + str(result.exception))


def test_a_ranker_of_an_unknown_kind_is_refused_before_training(tmp_path: Path) -> None:
    events = write_events(tmp_path / "events.csv", users=60)
    with pytest.raises(TrainingError, match="ranker 'trees' is unknown"):
        CliRunner().invoke(
            command,
            ["--events", str(events), "--out", str(tmp_path / "bundle"), "--ranker", "trees"],
            catch_exceptions=False,
        )
