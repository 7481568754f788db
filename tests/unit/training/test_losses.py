"""The hand-written gradients against torch's own."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")

from torch import Tensor  # noqa: E402

from stream_app.training.losses import (  # noqa: E402
    CHUNK,
    full_cross_entropy,
    sampled_cross_entropy,
)
from stream_app.training.scan import LinearScan, linear_scan  # noqa: E402


def leaves(*shapes: tuple[int, ...], dtype: object = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [
        torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes
    ]


@pytest.mark.parametrize("count", [1, 7, CHUNK, 2 * CHUNK + 5])
def test_fused_cross_entropy_equals_torchs(count: int) -> None:
    users, items = leaves((count, 16), (50, 16))
    targets = torch.arange(count) % 50
    ours = full_cross_entropy(users, items, targets)
    gradients = torch.autograd.grad(ours * 2, [users, items])
    theirs = torch.nn.functional.cross_entropy(users @ items.t(), targets)
    expected = torch.autograd.grad(theirs * 2, [users, items])
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradients, expected, atol=1e-6, rtol=1e-4)


def test_sampled_cross_entropy_over_all_items_is_the_full_one() -> None:
    users, items = leaves((20, 8), (30, 8))
    targets = torch.arange(20) % 30
    # All items as negatives: each target is masked among them, and comes in by itself.
    sampled = sampled_cross_entropy(users, items, targets, torch.arange(30))
    torch.testing.assert_close(sampled, full_cross_entropy(users, items, targets))


def test_the_scan_is_the_recurrence() -> None:
    decay, drive = leaves((3, 11, 5), (3, 11, 5))
    states = linear_scan(decay.sigmoid(), drive)
    expected = drive[:, 0]
    for t in range(1, 11):
        expected = decay.sigmoid()[:, t] * expected + drive[:, t]
        torch.testing.assert_close(states[:, t], expected)


def test_the_scans_gradient_passes_gradcheck() -> None:
    decay, drive = leaves((6, 2, 3), (6, 2, 3), dtype=torch.float64)
    assert torch.autograd.gradcheck(
        LinearScan.apply, (decay.detach().sigmoid().requires_grad_(), drive)
    )
