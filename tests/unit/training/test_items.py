"""Item vectors from text and a bounded delta: what is learned and bounded, what new items get."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")

from small_text import small_text_encoder  # noqa: E402

from stream_app.bundle import RankingWeights, load_bundle  # noqa: E402
from stream_app.datasets import EventTable  # noqa: E402
from stream_app.training.config import ModelConfig, TrainingConfig, TrainingError  # noqa: E402
from stream_app.training.fit import fit  # noqa: E402
from stream_app.training.items import ItemTable, TextItemTable, build_items  # noqa: E402
from stream_app.training.learner import Learner  # noqa: E402
from stream_app.training.release import Label, Release  # noqa: E402
from stream_app.training.sequences import NO_ROW, Vocabulary  # noqa: E402
from stream_app.training.texts import ItemTexts  # noqa: E402

from .markov import markov_table  # noqa: E402

CONFIG = TrainingConfig(
    model=ModelConfig(dim=8, width=8, blocks=1, dropout=0.1),
    epochs=4,
    learning_rate=3e-2,
    batch_tokens=256,
    min_count=1,
    delta_max=0.5,
    text_rank=6,
)
ENCODER = small_text_encoder()


@pytest.fixture(scope="module")
def table() -> EventTable:
    torch.set_num_threads(1)
    return markov_table(users=40, length=20)


@pytest.fixture(scope="module")
def texts(table: EventTable) -> ItemTexts:
    """Every item but `i7` has a text, and so does one that no event is on."""
    named = {item: f"thing {item * 2} of {item}" for item in [*table.item_ids, "new"]}
    return ItemTexts.encode(named | {"i7": ""}, ENCODER)


@pytest.fixture(scope="module")
def learner(table: EventTable, texts: ItemTexts) -> Learner:
    trained, _ = fit(table, CONFIG, texts=texts.rows(table.item_ids))
    return trained


def text_table(learned: bool = True, **changes: float) -> TextItemTable:
    rows = np.random.default_rng(0).standard_normal((30, 12)).astype(np.float32)
    rows[4] = 0
    options = {"rank": 6, "delta_max": 0.5, "id_dropout": 0.5, **changes}
    return TextItemTable(rows, np.full(30, learned), 8, **options)


def test_before_training_an_item_is_its_text() -> None:
    items = text_table(id_dropout=0.0)
    projected = items.projection().project(np.random.default_rng(0).standard_normal((30, 12)))
    described = np.arange(30) != 4
    found = items().detach().numpy()
    np.testing.assert_allclose(found[described], projected[described], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found[described], axis=1), 1, atol=1e-6)


def test_projection_in_numpy_is_that_in_torch(learner: Learner, texts: ItemTexts) -> None:
    items = learner.items
    assert isinstance(items, TextItemTable)
    with torch.no_grad():
        expected = torch.nn.functional.normalize(items.project(items.content), dim=-1).numpy()
    rows = texts.rows(item_ids(learner))
    np.testing.assert_allclose(items.projection().project(rows), expected, atol=1e-5)


def item_ids(learner: Learner) -> list[str]:
    return [markov_table(40, 20).item_ids[item] for item in learner.vocabulary.items]


def test_the_bound_of_the_delta_holds_after_training(learner: Learner, texts: ItemTexts) -> None:
    items = learner.items
    assert isinstance(items, TextItemTable)
    lengths = items.deltas().detach().norm(dim=1).numpy()
    assert lengths.max() <= CONFIG.delta_max + 1e-6
    assert lengths.max() > 0.9 * CONFIG.delta_max  # it was tried
    from_text = items.projection().project(texts.rows(item_ids(learner)))
    described = from_text.any(axis=1)
    cosines = (learner.vectors() * from_text).sum(axis=1)[described]
    assert cosines.min() >= np.sqrt(1 - CONFIG.delta_max**2) - 1e-5


def test_without_room_for_a_delta_items_are_their_texts(
    table: EventTable, texts: ItemTexts
) -> None:
    rows = texts.rows(table.item_ids)
    bound, _ = fit(table, replace(CONFIG, delta_max=0.0, epochs=1), texts=rows)
    projection = bound.items.projection()
    assert projection is not None
    expected = projection.project(rows[bound.vocabulary.items])
    described = expected.any(axis=1)
    np.testing.assert_allclose(bound.vectors()[described], expected[described], atol=1e-5)


def test_an_item_without_text_has_a_vector_of_its_own(learner: Learner) -> None:
    at = item_ids(learner).index("i7")
    assert np.linalg.norm(learner.vectors()[at]) == pytest.approx(1, abs=1e-5)
    items = learner.items
    assert isinstance(items, TextItemTable)
    assert not items.deltas()[at].any()


def test_deltas_are_left_out_in_training_only() -> None:
    items = text_table()
    with torch.no_grad():
        items.weight += 1.0
    items.train()
    items.seed([1])
    first, second = items().detach(), items().detach()
    items.seed([1])
    assert torch.equal(items().detach(), first)
    assert not torch.equal(first, second)
    alone = torch.nn.functional.normalize(items.project(items.content), dim=-1)
    left_out = (first - alone).abs().amax(dim=1) < 1e-6
    assert 5 < int(left_out.sum()) < 25
    assert not left_out[4]  # no text to stand on
    items.eval()
    whole = items().detach()
    assert torch.equal(whole, items().detach())
    assert int(((whole - alone).abs().amax(dim=1) < 1e-6).sum()) == 0


def test_an_item_seen_too_seldom_has_no_delta(table: EventTable, texts: ItemTexts) -> None:
    rows = texts.rows(table.item_ids)
    counts = np.bincount(table.items)
    config = replace(CONFIG, min_count=int(np.median(counts)), epochs=1)
    trained, _ = fit(table, config, texts=rows)
    items = trained.items
    assert isinstance(items, TextItemTable)
    seldom = trained.vocabulary.counts[: trained.vocabulary.size] < config.min_count
    assert seldom.any()
    assert not items.deltas().detach().numpy()[seldom].any()
    assert items.deltas().detach().numpy()[~seldom].any(axis=1).sum() > 10
    np.testing.assert_allclose(np.linalg.norm(trained.vectors(), axis=1), 1, atol=1e-5)


def test_a_text_makes_room_for_a_rare_item(table: EventTable) -> None:
    described = np.zeros(len(table.item_ids), bool)
    described[table.item_ids.index("i3")] = True
    vocabulary = Vocabulary.of(table, 10_000, described)
    assert vocabulary.size == 1
    assert vocabulary.rows[table.item_ids.index("i3")] == 0
    assert (vocabulary.rows != NO_ROW).sum() == 1
    assert len(vocabulary.items) == len(table.item_ids) == len(vocabulary.counts)


def test_a_stopped_run_with_texts_goes_on(
    table: EventTable, texts: ItemTexts, tmp_path: Path
) -> None:
    rows = texts.rows(table.item_ids)
    whole, _ = fit(table, CONFIG, texts=rows, stop_after=2)
    checkpoint = tmp_path / "run.pt"
    fit(table, CONFIG, texts=rows, stop_after=1, checkpoint=checkpoint)
    resumed, _ = fit(table, CONFIG, texts=rows, stop_after=2, checkpoint=checkpoint)
    np.testing.assert_array_equal(resumed.vectors(), whole.vectors())
    with pytest.raises(TrainingError, match=r"another run \(texts differ\); delete it"):
        fit(table, CONFIG, texts=-rows, stop_after=2, checkpoint=checkpoint)
    with pytest.raises(TrainingError, match="another run"):
        fit(table, CONFIG, stop_after=2, checkpoint=checkpoint)


def test_a_run_that_was_done_gives_the_same_vectors_again(
    table: EventTable, texts: ItemTexts, tmp_path: Path
) -> None:
    """Stopped after its last epoch, as while exporting: nothing is trained, nothing may drop."""
    rows, checkpoint = texts.rows(table.item_ids), tmp_path / "run.pt"
    done, _ = fit(table, CONFIG, texts=rows, stop_after=1, checkpoint=checkpoint)
    again, _ = fit(table, CONFIG, texts=rows, stop_after=1, checkpoint=checkpoint)
    np.testing.assert_array_equal(again.vectors(), done.vectors())
    assert not again.encoder.training


def test_texts_that_tell_nothing_apart_are_refused(table: EventTable) -> None:
    same = np.ones((len(table.item_ids), 12), np.float32)
    with pytest.raises(TrainingError, match="texts of the items: they are all the same"):
        fit(table, CONFIG, texts=same)


def test_without_texts_items_are_free_and_nothing_is_projected(table: EventTable) -> None:
    items = build_items(CONFIG, Vocabulary.of(table, 1))
    assert type(items) is ItemTable
    assert items.projection() is None


def test_texts_of_other_items_only_are_refused(table: EventTable) -> None:
    with pytest.raises(TrainingError, match="none of the 1 texts is of an item of the events"):
        ItemTexts.encode({"other": "x"}, ENCODER, wanted=set(table.item_ids))


@pytest.mark.parametrize("unseen", [False, True])
def test_a_release_gives_new_items_a_vector(
    table: EventTable, texts: ItemTexts, learner: Learner, tmp_path: Path, unseen: bool
) -> None:
    learner.config = replace(CONFIG, unseen_items=unseen)
    release = Release.of(learner, table, RankingWeights(), texts)
    release.write(tmp_path / "bundle", Label("texts", "1"))
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.text is not None
    assert bundle.text.spec.sha256 == ENCODER.digest
    assert bundle.text.spec.delta_max == CONFIG.delta_max
    assert (bundle.catalog.index_of("new") >= 0) == unseen
    vector = bundle.text.embed(["thing newnew of new"], ENCODER)[0]
    if unseen:
        stored = bundle.catalog.vectors[bundle.catalog.index_of("new")]
        np.testing.assert_allclose(stored, vector, atol=2e-3)  # stored as float16
    projection = learner.items.projection()
    assert projection is not None
    np.testing.assert_allclose(vector, projection.project(texts.rows(["new"]))[0], atol=1e-6)
    trained = bundle.catalog.vectors[: learner.vocabulary.size]
    np.testing.assert_allclose(trained, learner.vectors(), atol=2e-3)
