"""The sentence encoder: what reaches the tokenizer, what comes out, and what is refused."""

import json
import os
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_text import DIM, MAX_LENGTH, mean_graph, onnx, small_text_encoder, write_text_encoder

from stream_app.text import TextEncoder, TextError
from stream_app.text.clean import clean
from stream_app.text.files import read_encoder

ENCODER = small_text_encoder()
LONG = small_text_encoder(max_length=8192)


def read_back(text: str) -> str:
    """What the tokenizer was given, from its byte tokens."""
    return LONG._tokenizer.decode(LONG.tokens(text), skip_special_tokens=False)


@pytest.mark.parametrize(
    "text",
    [
        "无线降噪耳机 黑色",
        "ワイヤレスイヤホン",
        "سماعات لاسلكية",
        "אוזניות אלחוטיות",
        "हेडफ़ोन",
        "👩‍👩‍👧 🇫🇷 🏳️‍🌈",
        "Kopfhörer – schwarz, 5 €",
        "ﷺ ½ ①",
    ],
)
def test_text_of_any_language_reaches_the_tokenizer_unchanged(text):
    assert read_back(text) == unicodedata.normalize("NFC", text)


def test_both_ways_to_write_an_accent_are_one_text():
    composed, decomposed = "Amélie", "Ame\u0301lie"
    assert composed != decomposed
    np.testing.assert_array_equal(*ENCODER.encode([composed, decomposed]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x00b\x1bc\x7fd\x9be", "a b c d e"),
        ("  two\r\n\tlines ", "two lines"),
        ("a\ud800b", "a\N{REPLACEMENT CHARACTER}b"),
        ("\u202eright to left", "\u202eright to left"),
        ("ab" * 50, "ab" * 10),
    ],
)
def test_only_what_no_tokenizer_can_take_is_changed(text, expected):
    assert clean(text, 20) == expected


def test_a_text_is_cut_at_the_longest_length():
    assert len(ENCODER.tokens("x" * 1000)) == MAX_LENGTH
    np.testing.assert_array_equal(*ENCODER.encode(["x" * MAX_LENGTH, "x" * MAX_LENGTH + "y" * 99]))


@pytest.mark.parametrize("text", ["", " ", "\n\t\x00\r"])
def test_an_empty_text_has_no_vector(text):
    vectors = ENCODER.encode(["full", text, "also full"])
    assert not vectors[1].any()
    np.testing.assert_allclose(np.linalg.norm(vectors[[0, 2]], axis=1), 1, atol=1e-6)


def test_no_texts_give_no_vectors():
    assert ENCODER.encode([]).shape == (0, DIM)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(), max_size=8))
def test_a_vector_does_not_depend_on_the_other_texts(texts):
    together = ENCODER.encode(texts)
    assert together.dtype == np.float32
    assert np.isfinite(together).all()
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_allclose(ENCODER.encode([text])[0], vector, atol=1e-6)


def test_more_texts_than_one_batch_keep_their_order():
    texts = [f"{number % 40} " * (1 + number % 7) for number in range(100)]
    alone = np.concatenate([ENCODER.encode([text]) for text in texts])
    np.testing.assert_allclose(ENCODER.encode(texts), alone, atol=1e-6)


def test_a_quantised_encoder_takes_texts_one_by_one():
    encoder = small_text_encoder(precision="int8")
    assert [*encoder._batches([[1], [], [1, 2]])] == [[0], [2]]


@pytest.mark.parametrize(
    "text",
    ["x" * 2_000_000, "\u0301\u0327" * 500_000, "👩‍" * 300_000, "\U0010ffff" * 9, "a\ufffe\uffff"],
)
def test_hostile_text_is_answered(text):
    vectors = ENCODER.encode([text])
    assert np.isfinite(vectors).all()
    assert len(ENCODER.tokens(text)) <= MAX_LENGTH


def test_an_encoder_is_read_from_its_directory(tmp_path: Path):
    encoder = TextEncoder.load(write_text_encoder(tmp_path / "encoder"))
    assert encoder.dim == DIM
    assert encoder.digest == ENCODER.digest
    np.testing.assert_array_equal(encoder.encode(["a b"]), ENCODER.encode(["a b"]))


@pytest.mark.parametrize("name", ["text.onnx", "tokenizer.json", "meta.json"])
def test_a_pipe_in_the_place_of_a_file_is_refused(tmp_path: Path, name: str):
    path = write_text_encoder(tmp_path / "encoder")
    (path / name).unlink()
    os.mkfifo(path / name)
    with pytest.raises(TextError, match=f"{name} is not a plain file; make it with"):
        read_encoder(path)


@pytest.mark.parametrize("name", ["text.onnx", "tokenizer.json"])
def test_a_changed_file_is_refused(tmp_path: Path, name: str):
    path = write_text_encoder(tmp_path / "encoder")
    raw = bytearray((path / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (path / name).write_bytes(raw)
    with pytest.raises(TextError, match=rf"{name} sha256 differs from meta.json; the file was"):
        TextEncoder.load(path)


@pytest.mark.parametrize("name", ["text.onnx", "tokenizer.json", "meta.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str):
    path = write_text_encoder(tmp_path / "encoder")
    (path / name).unlink()
    with pytest.raises(TextError, match=f"{name} is missing; make it with `stream-app text-enc"):
        TextEncoder.load(path)
    (path / name).mkdir()
    with pytest.raises(TextError, match=f"{name} is not a plain file"):
        TextEncoder.load(path)


def test_a_missing_directory_is_named(tmp_path: Path):
    with pytest.raises(TextError, match="no such directory; make it with"):
        TextEncoder.load(tmp_path / "none")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda meta: meta.pop("dim"), "meta.json is not valid: .*`dim`"),
        (lambda meta: meta.update(max_length=1_000_000), "meta.json is not valid"),
        (lambda meta: meta.update(schema_version=9), "schema version 9 is newer than 1"),
        (lambda meta: meta["files"].pop("text.onnx"), "meta.json lists tokenizer.json; expected"),
        (lambda meta: meta["files"].clear(), "meta.json lists no file; expected"),
        (lambda meta: meta["files"].update({"../x": "0" * 64}), r"meta.json lists \.\./x, "),
    ],
)
def test_a_wrong_description_is_refused(tmp_path: Path, change, message: str):
    path = write_text_encoder(tmp_path / "encoder")
    meta = json.loads((path / "meta.json").read_text())
    change(meta)
    (path / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(TextError, match=message):
        TextEncoder.load(path)


def test_a_description_that_is_no_json_is_refused(tmp_path: Path):
    path = write_text_encoder(tmp_path / "encoder")
    (path / "meta.json").write_bytes(b"\xff{")
    with pytest.raises(TextError, match=r"meta.json is not valid"):
        TextEncoder.load(path)


@pytest.mark.parametrize(
    ("graph", "meta", "message"),
    [
        ({"output": "other"}, {}, "gives other; expected input_ids, attention_mask and vector"),
        ({"inputs": ("ids", "mask")}, {}, "the graph takes ids, mask"),
        ({"sizes": ("B", 7)}, {}, r"expected tensor\(int64\)\[B, L\] with both dynamic"),
        ({"element": onnx.TensorProto.INT32}, {}, r"is tensor\(int32\)"),
        ({"dim": 5}, {}, r"two texts give float32\[2, 5\], expected float32\[2, 12\]"),
        ({"rows": 0}, {}, "the graph fails on two texts"),
    ],
)
def test_a_graph_that_breaks_the_contract_is_refused(tmp_path: Path, graph, meta, message):
    path = write_text_encoder(tmp_path / "encoder", mean_graph(**graph), **meta)
    with pytest.raises(TextError, match=message):
        TextEncoder.load(path)


def test_what_is_no_graph_is_refused(tmp_path: Path):
    path = write_text_encoder(tmp_path / "encoder", b"nonsense")
    with pytest.raises(TextError, match=r"text.onnx is not a graph that ONNX Runtime"):
        TextEncoder.load(path)


def test_what_is_no_tokenizer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("small_text.byte_tokenizer", lambda: b"{}")
    path = write_text_encoder(tmp_path / "encoder")
    with pytest.raises(TextError, match=r"tokenizer.json is not one that the installed package"):
        TextEncoder.load(path)


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_text_encoder(tmp_path / "encoder")
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(TextError, match=r"pip install 'stream-app\[text\]'"):
        TextEncoder.load(path)


def test_threads_do_not_disturb_each_other() -> None:
    """A worker reads items in one thread, profiles and queries in another."""
    texts = [[f"text {thread} {number}" for number in range(40)] for thread in range(4)]
    expected = [ENCODER.encode(one) for one in texts]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for found, wanted in zip(pool.map(ENCODER.encode, texts), expected, strict=True):
                np.testing.assert_array_equal(found, wanted)
