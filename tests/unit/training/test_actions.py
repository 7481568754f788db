"""Actions in training: what they weigh, and the head that tells them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")

from stream_app.bundle import RankingWeights, load_bundle  # noqa: E402
from stream_app.bundle.action_head import decode_action_head, encode_action_head  # noqa: E402
from stream_app.datasets import EventTable  # noqa: E402
from stream_app.training.actions import TrainedActionHead, action_weights  # noqa: E402
from stream_app.training.config import ModelConfig, TrainingConfig, TrainingError  # noqa: E402
from stream_app.training.fit import fit  # noqa: E402
from stream_app.training.learner import Learner  # noqa: E402
from stream_app.training.losses import (  # noqa: E402
    CHUNK,
    full_cross_entropy,
    sampled_cross_entropy,
)
from stream_app.training.release import Label, Release  # noqa: E402
from stream_app.training.sequences import NO_ROW, Vocabulary, pad, user_sequences  # noqa: E402
from stream_app.users.actions import ACTIONS, PURCHASE  # noqa: E402

CONFIG = TrainingConfig(
    model=ModelConfig(dim=16, width=16, blocks=1, dropout=0.1),
    epochs=6,
    learning_rate=1e-2,
    batch_tokens=256,
    min_count=1,
)


def test_weights_are_read_by_action() -> None:
    weights = action_weights(replace(CONFIG, action_weights="purchase=4, add_to_cart=2"))
    assert weights is not None
    assert dict(zip(ACTIONS, weights.tolist(), strict=True)) == {
        "other": 1,
        "view": 1,
        "click": 1,
        "like": 1,
        "add_to_cart": 2,
        "purchase": 4,
    }
    assert action_weights(CONFIG) is None
    assert action_weights(replace(CONFIG, action_weights="click=1")) is None


@pytest.mark.parametrize("wrong", ["buy=2", "purchase", "purchase=", "purchase=-1", "click=nan"])
def test_what_is_no_weight_is_refused(wrong: str) -> None:
    with pytest.raises(
        TrainingError, match=r"action_weights: .* is not action=number .*'purchase=4"
    ):
        action_weights(replace(CONFIG, action_weights=f"view=2 {wrong}"))


@pytest.mark.parametrize("count", [1, 7, CHUNK + 5])
def test_weighted_cross_entropy_equals_torchs(count: int) -> None:
    generator = torch.Generator().manual_seed(1)
    users = torch.randn(count, 16, generator=generator).requires_grad_()
    items = torch.randn(50, 16, generator=generator).requires_grad_()
    weights = torch.rand(count, generator=generator) + 0.5
    targets = torch.arange(count) % 50
    losses = torch.nn.functional.cross_entropy(users @ items.t(), targets, reduction="none")
    expected = (losses * weights).sum() / weights.sum()
    ours = full_cross_entropy(users, items, targets, weights)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(
        torch.autograd.grad(ours, [users, items]),
        torch.autograd.grad(expected, [users, items]),
        atol=1e-6,
        rtol=1e-4,
    )
    sampled = sampled_cross_entropy(users, items, targets, torch.arange(50), weights)
    torch.testing.assert_close(sampled, expected)


def test_a_batch_holds_the_action_of_every_target(table: EventTable) -> None:
    sequences = user_sequences(table)
    batch = pad([(sequences[0], 0, 10), (sequences[1], 3, 6)], Vocabulary.of(table, 1))
    np.testing.assert_array_equal(batch.actions[0], sequences[0].actions(1, 10))
    np.testing.assert_array_equal(batch.actions[1], [*sequences[1].actions(4, 6), *[0] * 7])


def test_the_head_learns_which_action_comes_next(table: EventTable, tmp_path: Path) -> None:
    """In the stream an action follows from the one before, which the encoder sees."""
    learner, _ = fit(table, replace(CONFIG, action_loss=0.3))
    label = Label("a", "1", "2026-01-01T00:00:00+00:00")
    Release.of(learner, table, RankingWeights()).write(tmp_path / "bundle", label)
    bundle = load_bundle(tmp_path / "bundle")
    head = bundle.action_head
    assert head is not None
    sequences = user_sequences(table)
    batch = pad([(sequences[at], 0, 30) for at in range(20)], learner.vocabulary)
    with torch.no_grad():
        vectors = learner.items()
        users = learner.users(batch, vectors).flatten(0, 1).numpy()
        items = vectors[torch.from_numpy(batch.targets.ravel())].numpy()
    shares = head.probabilities(users, items[:, None])[:, :, 0]
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-5)
    right = shares.argmax(1) == batch.actions.ravel()
    assert right.mean() > 0.6  # four actions in turn: 0.25 by chance
    with torch.no_grad():
        logits = learner.head(torch.from_numpy(users), torch.from_numpy(items))
    np.testing.assert_allclose(shares, torch.softmax(logits, -1).numpy(), atol=1e-5)


def test_without_a_second_task_there_is_no_head(table: EventTable) -> None:
    learner, _ = fit(table, CONFIG, stop_after=1)
    assert learner.head is None
    assert Release.of(learner, table, RankingWeights()).action_head is None


def test_a_damaged_head_is_refused() -> None:
    head = TrainedActionHead(ModelConfig(dim=4)).exported()
    raw = encode_action_head(head)
    assert decode_action_head(raw, dim=4).bias.shape == (len(ACTIONS),)
    with pytest.raises(ValueError, match="weight"):
        decode_action_head(raw, dim=5)


def test_a_new_action_counts_as_other() -> None:
    head = TrainedActionHead(ModelConfig(dim=4))
    rows = torch.randn(2, 4)
    new = head.loss(rows, rows, torch.tensor([99, PURCHASE]))
    torch.testing.assert_close(new, head.loss(rows, rows, torch.tensor([0, PURCHASE])))


def test_a_targets_weight_is_its_share_of_the_loss(table: EventTable) -> None:
    """With nearly all the weight on purchases, the loss is that of the purchases alone."""
    sequences = user_sequences(table)
    batch = pad([(sequences[at], 0, 30) for at in range(9)], Vocabulary.of(table, 1))
    bought = batch.actions == PURCHASE
    purchases = batch._replace(targets=np.where(bought, batch.targets, NO_ROW))
    plain = replace(CONFIG, item_dropout=0.0)
    heavy = Learner(replace(plain, action_weights="purchase=1e9"), Vocabulary.of(table, 1))
    even = Learner(plain, Vocabulary.of(table, 1))
    for learner in (heavy, even):
        learner.encoder.eval()
    torch.testing.assert_close(heavy.loss(batch), even.loss(purchases))
    assert abs(float(heavy.loss(batch)) - float(even.loss(batch))) > 1e-4
