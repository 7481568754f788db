"""How an event enters an encoder: only with the features that the configuration names."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")

from stream_app.training.config import ModelConfig  # noqa: E402
from stream_app.training.models.events import GAP_BUCKETS, EventInput, gap_buckets  # noqa: E402
from stream_app.users.actions import ACTIONS, PURCHASE  # noqa: E402
from stream_app.users.features import NO_PREVIOUS, sequence_features  # noqa: E402

HOUR_MS = 3_600_000
CLICK = ACTIONS.index("click")


def entered(config: ModelConfig, action: int, gap_ms: int) -> torch.Tensor:
    """What one item enters as, after weights that no feature can hide behind."""
    torch.manual_seed(0)
    layer = EventInput(config)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn_like(parameter))
        features = sequence_features(np.array([action], np.uint8), np.array([gap_ms], np.int64))
        result: torch.Tensor = layer(torch.full((1, config.dim), 0.25), torch.from_numpy(features))
    return result


@pytest.mark.parametrize(
    ("fields", "by_action", "by_gap"),
    [
        ({}, True, True),
        ({"actions": False}, False, True),
        ({"gaps": "none"}, True, False),
        ({"actions": False, "gaps": "none"}, False, False),
        ({"actions": False, "gaps": "buckets"}, False, True),
        ({"actions": False, "gaps": "none", "action_gain": True}, True, False),
    ],
)
def test_only_what_is_named_enters(fields: dict, by_action: bool, by_gap: bool) -> None:
    config = ModelConfig(dim=16, **fields)
    plain = entered(config, CLICK, HOUR_MS)
    assert (not torch.equal(plain, entered(config, PURCHASE, HOUR_MS))) == by_action
    assert (not torch.equal(plain, entered(config, CLICK, 50 * HOUR_MS))) == by_gap


def test_a_gap_counts_towards_the_two_buckets_it_lies_between() -> None:
    scaled = torch.linspace(0, 1, 101)
    shares = gap_buckets(scaled)
    torch.testing.assert_close(shares.sum(-1), torch.ones(101))
    assert int((shares > 0).sum(-1).max()) <= 2
    assert (shares[0].argmax(), shares[-1].argmax()) == (0, GAP_BUCKETS - 1)
    # Near gaps have near inputs: rounding cannot tell two backends apart.
    assert float((shares[1:] - shares[:-1]).abs().max()) < 0.16


def test_a_year_counts_as_the_longest_gap() -> None:
    year = sequence_features(np.array([1], np.uint8), np.array([365 * 24 * HOUR_MS]))
    first = sequence_features(np.array([1], np.uint8), np.array([NO_PREVIOUS]))
    assert gap_buckets(torch.from_numpy(year[:, 8]))[0].argmax() == GAP_BUCKETS - 1
    assert gap_buckets(torch.from_numpy(first[:, 8]))[0].argmax() == 0
