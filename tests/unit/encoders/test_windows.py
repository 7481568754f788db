"""Encoders without a state: what a manifest may say of them, their graph, and their batches."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from onnx_step import StepModel, onnx

from stream_app.encoders import EncoderError, EncoderSpec, History, load_encoder
from stream_app.encoders.onnx import OnnxWindowEncoder
from stream_app.encoders.windows import encode_windows

DIM, FEATURES, WINDOW = 4, 3, 5
SPEC = EncoderSpec(kind="transformer", dim=DIM, state_size=0, features=FEATURES, window=WINDOW)


def graph_of_sums(*, length: object = "L", lengths=None, rename=None, flat=False) -> bytes:
    """A graph that adds up the item vectors; the arguments break the contract one way each."""
    helper, kind = onnx.helper, onnx.TensorProto
    rename = rename or {}

    def named(name):
        return rename.get(name, name)

    axes = np.array([1, 2] if flat else [1])
    nodes = [helper.make_node("ReduceSum", [named("item"), "axes"], [named("user")], keepdims=0)]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "encode",
        [
            info(named("item"), kind.FLOAT, ["B", length, DIM]),
            info(named("features"), kind.FLOAT, ["B", length, FEATURES]),
            info(named("lengths"), lengths or kind.INT64, ["B"]),
        ],
        [info(named("user"), kind.FLOAT, ["B"] if flat else ["B", DIM])],
        [onnx.numpy_helper.from_array(axes, "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return model.SerializeToString()


def histories(lengths: list[int]) -> list[History]:
    rng = np.random.default_rng(0)
    return [
        History(
            rng.random((length, DIM), np.float32),
            rng.random((length, FEATURES), np.float32),
        )
        for length in lengths
    ]


def test_only_the_last_events_are_read(tmp_path):
    (tmp_path / "encode.onnx").write_bytes(graph_of_sums())
    encoder = load_encoder(SPEC, tmp_path, "onnxruntime")
    some = histories([0, 3, WINDOW, WINDOW + 4, 1])
    states, users = encoder.encode(some)
    assert states.shape == (5, 0)
    for history, user in zip(some, users, strict=True):
        np.testing.assert_allclose(user, history.item_vectors[-WINDOW:].sum(0), atol=1e-6)


@pytest.mark.parametrize("at_once", [1, 2, 32])
def test_users_share_calls_of_about_their_length(at_once):
    some = histories([2, 9, 0, 4, 4, 7])
    calls = []

    def encode(items, features, lengths):
        calls.append(lengths.tolist())
        assert items.shape == (len(lengths), lengths.max(), DIM)
        assert features.shape == (len(lengths), lengths.max(), FEATURES)
        return items.sum(1)

    users = encode_windows(encode, some, dim=DIM, window=WINDOW, at_once=at_once)
    expected = [history.item_vectors[-WINDOW:].sum(0) for history in some]
    np.testing.assert_allclose(users, expected, atol=1e-6)
    assert [length for call in calls for length in call] == [5, 5, 4, 4, 2]
    assert all(len(call) <= at_once for call in calls)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"rename": {"lengths": "n"}}, "inputs are features, item, n; expected item, features, l"),
        ({"rename": {"user": "u"}}, "outputs are u; expected user"),
        (
            {"lengths": onnx.TensorProto.INT32},
            r"'lengths' is tensor\(int32\), expected tensor\(int",
        ),
        ({"length": 7}, r"'item' has shape \['B', 7, 4\], expected \[B, L, d\] with B and L dynam"),
        ({"flat": True}, r"'user' for two users is float32\[2\], expected float32\[2, 4\]"),
    ],
)
def test_a_graph_that_breaks_the_contract_is_refused(tmp_path, broken, message):
    path = tmp_path / "encode.onnx"
    path.write_bytes(graph_of_sums(**broken))
    with pytest.raises(EncoderError, match=message):
        OnnxWindowEncoder(path, window=WINDOW)


def test_a_step_graph_is_no_encode_graph(tmp_path):
    (tmp_path / "encode.onnx").write_bytes(StepModel().onnx_bytes())
    with pytest.raises(EncoderError, match="inputs are features, item, state; expected item"):
        load_encoder(SPEC, tmp_path, "onnxruntime")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"kind": "transformer", "state_size": 4},
            "a window and no state_size, but state_size is 4",
        ),
        ({"kind": "transformer", "state_size": 0}, "a window and no state_size.*window is 0"),
        ({"kind": "gru", "state_size": 0}, "a gru encoder has a state_size and no window"),
        ({"kind": "recurrent", "state_size": 4, "window": 5}, "a state_size and no window"),
        ({"kind": "transformer", "state_size": 0, "window": 101}, "<= 100"),
        ({"kind": "lstm", "state_size": 4}, "lstm"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(fields, message):
    raw = msgspec.json.encode({"dim": 4, "features": 3, **fields})
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.json.decode(raw, type=EncoderSpec)


def test_a_manifest_of_before_there_were_windows_loads():
    raw = b'{"kind": "recurrent", "dim": 4, "state_size": 8, "features": 3}'
    spec = msgspec.json.decode(raw, type=EncoderSpec)
    assert (spec.window, spec.graph_file) == (0, "step.onnx")
    assert SPEC.graph_file == "encode.onnx"
