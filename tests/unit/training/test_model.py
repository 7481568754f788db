"""The encoder: one step at a time equals whole sequences, and the exported graph equals both."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")

from stream_app.encoders import OnnxEncoder  # noqa: E402
from stream_app.training.config import ModelConfig  # noqa: E402
from stream_app.training.export import export_encoder  # noqa: E402
from stream_app.training.models import RecurrentEncoder  # noqa: E402
from stream_app.training.models.dropout import Dropout  # noqa: E402

CONFIG = ModelConfig(dim=12, width=10, blocks=2, dropout=0.5)


@pytest.fixture(scope="module")
def encoder() -> RecurrentEncoder:
    torch.manual_seed(1)
    return RecurrentEncoder(CONFIG).eval()


def inputs(users: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    item = torch.randn(users, length, CONFIG.dim, generator=generator)
    features = torch.rand(users, length, CONFIG.features, generator=generator)
    return torch.nn.functional.normalize(item, dim=-1), features


@torch.no_grad()
def test_steps_equal_the_whole_sequence(encoder: RecurrentEncoder) -> None:
    item, features = inputs(4, 40)
    whole = encoder(item, features)
    state = torch.zeros(4, encoder.state_size)
    for t in range(40):
        state, users = encoder.step(state, item[:, t], features[:, t])
        torch.testing.assert_close(users, whole[:, t], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(users.norm(dim=-1), torch.ones(4))


@torch.no_grad()
def test_padding_on_the_right_changes_nothing(encoder: RecurrentEncoder) -> None:
    item, features = inputs(2, 20)
    padded = encoder(item, features)
    torch.testing.assert_close(encoder(item[:, :7], features[:, :7]), padded[:, :7])


def test_the_exported_step_equals_torch(encoder: RecurrentEncoder, tmp_path: Path) -> None:
    graph = export_encoder(encoder)
    assert str(Path(__file__).parents[3]).encode() not in graph  # no path of this machine
    (tmp_path / "step.onnx").write_bytes(graph)
    exported = OnnxEncoder(tmp_path / "step.onnx")
    assert (exported.dim, exported.state_size) == (CONFIG.dim, encoder.state_size)
    for users in (1, 5):
        item, features = inputs(users, 3)
        state = torch.zeros(users, encoder.state_size)
        ours = state.numpy()
        for t in range(3):
            with torch.no_grad():
                state, expected = encoder.step(state, item[:, t], features[:, t])
            ours, found = exported.step(
                ours, item[:, t].contiguous().numpy(), features[:, t].contiguous().numpy()
            )
            np.testing.assert_allclose(ours, state.numpy(), atol=1e-5)
            np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_dropout_keeps_the_mean_and_is_off_outside_training() -> None:
    dropout, ones = Dropout(0.25), torch.ones(100_000)
    dropped = dropout(ones)
    assert float((dropped == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.02)
    assert dropout.eval()(ones) is ones
