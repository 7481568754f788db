"""What every kind of encoder promises, from training to serving: one suite for all of them."""

from __future__ import annotations

import hashlib
import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")

from schemas.messages import Click  # noqa: E402
from stream_app.bundle import Bundle, BundleError, RankingWeights, load_bundle  # noqa: E402
from stream_app.datasets import EventTable  # noqa: E402
from stream_app.encoders import History, SteppedEncoder  # noqa: E402
from stream_app.evaluation.encoder import encoder_score  # noqa: E402
from stream_app.reasons.leave_one_out import encoded, without_each  # noqa: E402
from stream_app.recommender import Recommender, SourceMessage  # noqa: E402
from stream_app.training.config import ModelConfig, TrainingConfig, TrainingError  # noqa: E402
from stream_app.training.fit import fit  # noqa: E402
from stream_app.training.models import ENCODERS, build_encoder  # noqa: E402
from stream_app.training.release import Label, Release  # noqa: E402
from stream_app.training.sequences import Sequence, pad, user_sequences  # noqa: E402
from stream_app.training.validation import validator  # noqa: E402
from stream_app.users import (  # noqa: E402
    UserState,
    event_gaps,
    events_of,
    sequence_features,
)
from stream_app.users.actions import ACTIONS  # noqa: E402

from .markov import markov_table  # noqa: E402

CONTEXT = 12  # shorter than the histories, so that windows are cut
CLOSE = 1e-4


class Trained:
    """A small model of one kind on the Markov stream, and the bundle made of it."""

    def __init__(self, kind: str, path: Path) -> None:
        self.table = markov_table(users=60, length=30)
        model = ModelConfig(
            kind=kind,
            dim=16,
            width=16,
            blocks=2,
            dropout=0.1,
            context=CONTEXT,
            gaps="both",
            action_gain=True,
        )
        config = TrainingConfig(model=model, epochs=8, learning_rate=1e-2, batch_tokens=256)
        self.learner, _ = fit(self.table, config)
        label = Label(f"of-{kind}", "1", "2026-01-01T00:00:00+00:00")
        Release.of(self.learner, self.table, RankingWeights()).write(path, label)
        self.path = path
        self.bundle: Bundle = load_bundle(path, index="exact")

    def histories(self, count: int) -> list[History]:
        """Real histories, of different lengths."""
        sequences = user_sequences(self.table)
        return [
            self.history(sequences[at], 1 + (7 * at) % len(sequences[at])) for at in range(count)
        ]

    def history(self, sequence: Sequence, length: int) -> History:
        """The first events of a sequence as the bundle's encoder takes them."""
        ids = [self.table.item_ids[item] for item in sequence.items(0, length)]
        catalog = self.bundle.catalog
        rows = np.array([catalog.index_of(one) for one in ids], np.int32)
        return History(catalog.vectors_of(rows), sequence.features(0, length))


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    torch.set_num_threads(1)
    return {kind: Trained(kind, tmp_path_factory.mktemp(kind) / "bundle") for kind in ENCODERS}


@pytest.fixture(scope="module", params=list(ENCODERS))
def trained(request: pytest.FixtureRequest, every_kind: dict[str, Trained]) -> Trained:
    return every_kind[request.param]


@torch.no_grad()
def test_the_exported_encoder_is_the_trained_one(trained: Trained) -> None:
    encoder, histories = trained.learner.encoder, trained.histories(25)
    _, users = trained.bundle.encoder.encode(histories)
    for history, user in zip(histories, users, strict=True):
        window = slice(-encoder.window, None) if encoder.window else slice(None)
        item, features = (torch.from_numpy(part[window])[None] for part in history)
        expected = encoder(item, features)[0, -1].numpy()
        np.testing.assert_allclose(user, expected, atol=CLOSE)
        assert np.linalg.norm(user) == pytest.approx(1, abs=CLOSE)


def test_a_vector_does_not_depend_on_who_shares_the_batch(trained: Trained) -> None:
    histories, encoder = trained.histories(40), trained.bundle.encoder
    states, users = encoder.encode(histories)
    back = encoder.encode(histories[::-1])[1][::-1]
    np.testing.assert_allclose(users, back, atol=1e-6)
    for at, history in enumerate(histories):
        state, user = encoder.encode([history])
        np.testing.assert_allclose(user[0], users[at], atol=1e-6)
        np.testing.assert_allclose(state[0], states[at], atol=1e-5)


def test_steps_give_what_encoding_gives(trained: Trained) -> None:
    encoder = trained.bundle.encoder
    if not encoder.state_size:
        assert not hasattr(encoder, "step")
        return
    stepped: SteppedEncoder = encoder  # type: ignore[assignment]
    for history in trained.histories(6):
        state = np.zeros((1, encoder.state_size), np.float32)
        for item, features in zip(*history, strict=True):
            state, user = stepped.step(state, item[None], features[None])
        expected_state, expected_user = encoder.encode([history])
        np.testing.assert_allclose(state, expected_state, atol=CLOSE)
        np.testing.assert_allclose(user, expected_user, atol=CLOSE)


def test_a_user_without_events_gets_zeros(trained: Trained) -> None:
    spec = trained.bundle.manifest.encoder
    empty = History(np.zeros((0, spec.dim), np.float32), np.zeros((0, spec.features), np.float32))
    states, users = trained.bundle.encoder.encode([empty, *trained.histories(1)])
    assert states.shape == (2, spec.state_size)
    assert not users[0].any()
    assert users[1].any()
    assert trained.bundle.encoder.encode([])[1].shape == (0, spec.dim)


def messages(table: EventTable) -> list[SourceMessage]:
    return [
        SourceMessage(
            Click(
                user_id=table.user_ids[user],
                item_id=table.item_ids[item],
                timestamp_ms=int(at),
                action=ACTIONS[action],
            ),
            "clicks",
            0,
            offset,
        )
        for offset, (user, item, at, action) in enumerate(
            zip(table.users, table.items, table.timestamps_ms, table.actions, strict=True)
        )
    ]


def rows_after(engine: Recommender, stream: list[SourceMessage], cuts: list[int]) -> dict:
    rows: dict[str, UserState] = {}
    for start, end in pairwise([0, *cuts, len(stream)]):
        rows |= engine.process(stream[start:end], rows).states
    return rows


def vector(row: UserState) -> np.ndarray:
    return np.frombuffer(row.vector, np.float16).astype(np.float32)


def test_any_split_of_the_stream_into_batches_gives_the_same_rows(trained: Trained) -> None:
    stream = messages(trained.table)[:300]
    stream[40], stream[90] = stream[90], stream[40]  # late events: rows are replayed
    stream = [one._replace(offset=offset) for offset, one in enumerate(stream)]
    engine = Recommender(trained.bundle)
    whole = rows_after(engine, stream, [])
    rng = np.random.default_rng(0)
    for pieces in (3, 40):
        cuts = sorted(rng.choice(np.arange(1, 300), pieces, replace=False).tolist())
        split = rows_after(Recommender(trained.bundle), stream, cuts)
        for user, row in whole.items():
            assert row.history == split[user].history
            assert len(row.hidden) == 2 * trained.bundle.encoder.state_size
            np.testing.assert_allclose(vector(row), vector(split[user]), atol=5e-3)


def test_a_row_holds_the_vector_of_its_history(trained: Trained) -> None:
    engine, sequences = Recommender(trained.bundle), user_sequences(trained.table)
    rows = rows_after(engine, messages(trained.table), [1, 2, 200])
    for user, sequence in ((sequences.users[at], sequences[at]) for at in range(20)):
        row = rows[trained.table.user_ids[user]]
        assert len(events_of(row.history)) == len(sequence)
        expected = trained.bundle.encoder.encode([trained.history(sequence, 30)])[1][0]
        np.testing.assert_allclose(vector(row), expected, atol=5e-3)


def test_leaving_out_events_together_is_encoding_the_others_one_by_one(trained: Trained) -> None:
    engine = Recommender(trained.bundle)
    row = rows_after(engine, messages(trained.table)[:600], []).popitem()[1]
    left_out = encoded(engine._advancer, without_each(row.history))
    assert left_out is not None
    ring, catalog = events_of(row.history), trained.bundle.catalog
    for at in range(len(ring)):
        rest = np.delete(ring, at)
        items = catalog.lookup(np.ascontiguousarray(rest["item"]))
        features = sequence_features(rest["action"], event_gaps(rest["timestamp_ms"]))
        history = History(catalog.vectors_of(items), features)
        expected = trained.bundle.encoder.encode([history])[1][0]
        np.testing.assert_allclose(vector(left_out[1 + at]), expected, atol=5e-3)


def test_it_recommends_what_follows(trained: Trained) -> None:
    """Lists of the encoder's own candidates hold the next item more often than popularity."""
    score = encoder_score(trained.bundle, trained.table, len(trained.table) // 2)
    assert score["hit_rate"] > 0.4  # ten of sixty items at random: 0.17
    engine = Recommender(trained.bundle)
    lists = engine.process(messages(trained.table)[:50], {}).recommendations
    assert all(len(made.items) == 10 and made.degraded is None for made in lists)


def test_validation_sees_no_more_events_than_serving(trained: Trained) -> None:
    """What validation ranks with is what the bundle's encoder would give, or nearly so."""
    table = trained.table
    since = int(table.timestamps_ms[len(table) // 2])
    hit_rate, _ = validator(table, since, window=200)(trained.learner)
    assert hit_rate == pytest.approx(
        encoder_score(trained.bundle, table, len(table) // 2)["hit_rate"], abs=0.1
    )


@pytest.mark.parametrize("kind", list(ENCODERS))
def test_rows_of_another_kind_are_encoded_anew(
    trained: Trained, kind: str, every_kind: dict[str, Trained]
) -> None:
    """A release of any kind takes over the rows of any other, from the ring alone."""
    if kind == trained.learner.config.model.kind:
        return
    stream = messages(trained.table)
    old = rows_after(Recommender(trained.bundle), stream[:-60], [])
    next_one = Recommender(every_kind[kind].bundle)
    new = next_one.process(stream[-60:], old).states
    fresh = rows_after(next_one, stream, [])
    for user, row in new.items():
        assert row.release == f"of-{kind}@1"
        np.testing.assert_allclose(vector(row), vector(fresh[user]), atol=5e-3)


def test_another_vector_than_recorded_fails_the_golden_check(
    trained: Trained, tmp_path: Path
) -> None:
    path = tmp_path / "bundle"
    shutil.copytree(trained.path, path)
    with np.load(path / "golden.npz") as arrays:
        golden = dict(arrays)
    golden["users"] += 0.01
    np.savez(path / "golden.npz", **golden)
    manifest = json.loads((path / "manifest.json").read_text())
    digest = hashlib.sha256((path / "golden.npz").read_bytes()).hexdigest()
    manifest["files"]["golden.npz"] = digest
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"golden batch: user vectors on onnx.* differ from the"):
        load_bundle(path)


def test_padding_on_the_right_changes_nothing(trained: Trained) -> None:
    learner = trained.learner
    every = user_sequences(trained.table)
    sequences = [every[at] for at in range(3)]
    batch = pad([(one, 0, 5 + at) for at, one in enumerate(sequences)], learner.vocabulary)
    with torch.no_grad():
        together = learner.users(batch, learner.items())
        for at, one in enumerate(sequences):
            alone = learner.users(pad([(one, 0, 5 + at)], learner.vocabulary), learner.items())
            torch.testing.assert_close(together[at, : 4 + at], alone[0])


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(TrainingError, match="no encoder of kind 'lstm'; use one of recurrent, gru"):
        build_encoder(ModelConfig(kind="lstm"))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (ModelConfig(kind="transformer", dim=10, heads=3), "a dim of 10 does not split into 3"),
        (ModelConfig(kind="transformer", context=101), r"context of 101 events is not in 1\.\.100"),
        (ModelConfig(gaps="days"), "no gaps 'days'; use one of none, scaled, buckets, both"),
    ],
)
def test_sizes_that_make_no_encoder_are_refused(model: ModelConfig, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        build_encoder(model)
