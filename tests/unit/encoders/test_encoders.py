"""The ONNX encoder steps as the graph says, replays histories, and refuses a wrong graph."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_step import StepModel, onnx

from stream_app.encoders import EncoderError, EncoderSpec, History, OnnxEncoder, load_encoder
from stream_app.encoders import replay as replay_module

MODEL = StepModel()
SPEC = EncoderSpec(kind="recurrent", dim=8, state_size=12, features=5)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("encoder")
    (path / "step.onnx").write_bytes(MODEL.onnx_bytes())
    return path


@pytest.fixture(scope="module")
def encoder(directory):
    return load_encoder(SPEC, directory)


def test_the_encoder_knows_its_sizes_and_backend(encoder):
    assert (encoder.dim, encoder.state_size, encoder.features) == (8, 12, 5)
    assert encoder.backend == "onnxruntime-cpu"


@pytest.mark.parametrize("batch", [0, 1, 2, 33])
def test_a_step_equals_the_reference(encoder, batch):
    rng = np.random.default_rng(batch)
    states = rng.standard_normal((batch, 12)).astype(np.float32)
    items = rng.standard_normal((batch, 8)).astype(np.float32)
    features = rng.random((batch, 5), np.float32)
    new_states, users = encoder.step(states, items, features)
    expected_states, expected_users = MODEL.step(states, items, features)
    assert new_states.dtype == users.dtype == np.float32
    np.testing.assert_allclose(new_states, expected_states, atol=1e-5)
    np.testing.assert_allclose(users, expected_users, atol=1e-5)


@pytest.mark.parametrize("at_once", [1, 4, 1024])
def test_encoding_histories_equals_stepping_one_by_one(encoder, monkeypatch, at_once):
    monkeypatch.setattr(replay_module, "USERS_AT_ONCE", at_once)
    histories = MODEL.histories([3, 0, 17, 1, 17, 2, 0, 40])
    states, users = encoder.encode(histories)
    for history, state, user in zip(histories, states, users, strict=True):
        expected_state, expected_user = np.zeros((1, 12), np.float32), np.zeros((1, 8), np.float32)
        for position in range(len(history.features)):
            event = slice(position, position + 1)
            expected_state, expected_user = encoder.step(
                expected_state, history.item_vectors[event], history.features[event]
            )
        np.testing.assert_allclose(state, expected_state[0], atol=1e-5)
        np.testing.assert_allclose(user, expected_user[0], atol=1e-5)


def test_encoding_nobody_gives_empty_arrays(encoder):
    states, users = encoder.encode([])
    assert states.shape == (0, 12)
    assert users.shape == (0, 8)


def test_a_user_without_events_gets_zeros(encoder):
    empty = History(np.zeros((0, 8), np.float32), np.zeros((0, 5), np.float32))
    states, users = encoder.encode([empty])
    assert not states.any()
    assert not users.any()


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"rename": {"item": "items"}}, "inputs are features, items, state; expected state, item"),
        ({"rename": {"user": "emb"}}, "outputs are emb, new_state; expected new_state, user"),
        ({"element": onnx.TensorProto.DOUBLE}, r"is tensor\(double\), expected tensor\(float\)"),
        (
            {"batch": 1},
            r"input 'state' has shape \[1, 12\], expected \[B, S\] with B dynamic and S",
        ),
        (
            {"state_out": 7},
            r"'new_state' for two users is float32\[2, 7\], expected float32\[2, 12",
        ),
        ({"flat_user": True}, r"'user' for two users is float32\[2\], expected float32\[2, 8\]"),
    ],
)
def test_a_graph_that_breaks_the_contract_is_refused(tmp_path, broken, message):
    path = tmp_path / "step.onnx"
    path.write_bytes(MODEL.onnx_bytes(**broken))
    with pytest.raises(EncoderError, match=message):
        OnnxEncoder(path)


def test_a_file_that_is_no_graph_is_refused(tmp_path):
    path = tmp_path / "step.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(EncoderError, match="not a graph that ONNX Runtime"):
        OnnxEncoder(path)
    with pytest.raises(EncoderError, match=r"missing.onnx: cannot be read: No such file"):
        OnnxEncoder(tmp_path / "missing.onnx")


def test_weights_outside_the_file_are_refused(tmp_path):
    model = onnx.load_from_string(MODEL.onnx_bytes())
    path = tmp_path / "step.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights", size_threshold=0)
    with pytest.raises(EncoderError, match="weights must be inside the file"):
        OnnxEncoder(path)


def test_other_sizes_than_the_manifest_says_are_refused(directory):
    spec = EncoderSpec(kind="recurrent", dim=8, state_size=13, features=5)
    with pytest.raises(EncoderError, match="state_size is 12, but the manifest says 13"):
        load_encoder(spec, directory)
