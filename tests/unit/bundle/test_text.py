"""The part of a bundle that gives new items a vector, with and without the encoder at hand."""

import hashlib
import json

import msgspec
import numpy as np
import pytest
from sample_bundle import bundle_parts, write_sample_bundle
from small_text import DIM, small_text_encoder

from stream_app.bundle import BundleError, TextProjector, TextSpec, load_bundle, write_bundle
from stream_app.bundle.arrays import decode_npz, encode_npz
from stream_app.bundle.text import DTYPES, PROJECTION_FILE
from stream_app.text import Projection, TextError

ENCODER = small_text_encoder()


def projector(dim: int = 8) -> TextProjector:
    rng = np.random.default_rng(0)
    spec = TextSpec(encoder="small", sha256=ENCODER.digest, dim=DIM, delta_max=0.5)
    matrix = rng.standard_normal((DIM, dim)).astype(np.float32)
    return TextProjector(spec, Projection(np.full(DIM, 0.1, np.float32), matrix))


@pytest.fixture
def bundle(tmp_path):
    write_bundle(tmp_path / "texts", **bundle_parts(), text=projector())
    return tmp_path / "texts"


def swap(bundle, change) -> None:
    """Change the manifest, with the checksums of the files as they are."""
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    for name in manifest["files"]:
        manifest["files"][name] = hashlib.sha256((bundle / name).read_bytes()).hexdigest()
    path.write_text(json.dumps(manifest))


def test_a_new_item_gets_the_vector_of_its_text(bundle):
    text = load_bundle(bundle).text
    assert text is not None
    assert text.spec == projector().spec
    vectors = text.embed(["wireless headphones", ""], ENCODER)
    expected = projector().project(ENCODER.encode(["wireless headphones", ""]))
    np.testing.assert_array_equal(vectors, expected)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0], atol=1e-6)


def test_without_the_encoder_a_release_serves_and_says_what_is_missing(bundle):
    loaded = load_bundle(bundle)
    assert loaded.text is not None
    assert loaded.catalog.vectors.any(axis=1).all()
    with pytest.raises(TextError, match=r"reads text with small, sha256 .*, but none is loaded"):
        loaded.text.embed(["new"], None)


def test_another_encoder_is_refused(bundle):
    other = small_text_encoder(files={"text.onnx": "0" * 64, "tokenizer.json": "1" * 64})
    text = load_bundle(bundle).text
    assert text is not None
    with pytest.raises(TextError, match=f"but sha256 {other.digest} is loaded"):
        text.embed(["new"], other)


def test_the_same_files_that_cut_texts_elsewhere_are_another_encoder(bundle):
    """Their vectors of long texts differ, and `meta.json` has no checksum of its own."""
    text = load_bundle(bundle).text
    assert text is not None
    with pytest.raises(TextError, match="is loaded"):
        text.embed(["new"], small_text_encoder(max_length=8))


def test_a_bundle_without_text_loads_and_has_none(tmp_path):
    path = write_sample_bundle(tmp_path / "plain")
    swap(path, lambda manifest: manifest.pop("text"))  # as releases before it wrote them
    assert load_bundle(path).text is None


def test_a_changed_projection_is_refused(bundle):
    path = bundle / PROJECTION_FILE
    path.write_bytes(path.read_bytes() + b"0")
    with pytest.raises(BundleError, match=r"projection.npz sha256 differs from the manifest"):
        load_bundle(bundle)


def test_file_and_manifest_go_together(bundle):
    swap(bundle, lambda manifest: manifest.update(text=None))
    with pytest.raises(BundleError, match=r"lists projection.npz, but has no text"):
        load_bundle(bundle)


def test_a_text_needs_its_file(bundle):
    (bundle / PROJECTION_FILE).unlink()
    swap(bundle, lambda manifest: manifest["files"].pop(PROJECTION_FILE))
    with pytest.raises(BundleError, match=r"has a text, but lists no projection.npz"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("mean"), "holds no array 'mean'"),
        (
            lambda arrays: arrays.update(matrix=arrays["matrix"][:, 1:]),
            r"matrix has shape \[12, 7\], expected \[12, 8\]",
        ),
        (
            lambda arrays: arrays.update(mean=arrays["mean"][1:]),
            r"mean has shape \[11\], expected \[12\]",
        ),
        (lambda arrays: arrays.update(mean=arrays["mean"] * np.nan), "not finite"),
        (lambda arrays: arrays.update(mean=arrays["mean"].astype(float)), "mean is float64"),
    ],
)
def test_arrays_that_do_not_fit_are_named(bundle, change, message):
    path = bundle / PROJECTION_FILE
    arrays = decode_npz(path.read_bytes(), DTYPES)
    change(arrays)
    path.write_bytes(encode_npz(arrays))
    swap(bundle, lambda manifest: None)
    with pytest.raises(BundleError, match=rf"projection.npz: .*{message}"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    "change", [{"sha256": "short"}, {"dim": 0}, {"delta_max": -1.0}, {"encoder": ""}]
)
def test_a_wrong_description_is_refused(bundle, change):
    swap(bundle, lambda manifest: manifest["text"].update(change))
    with pytest.raises(BundleError, match=r"manifest.json is not valid: .*\$\.text"):
        load_bundle(bundle)


def test_a_projection_of_another_size_is_not_written(tmp_path):
    with pytest.raises(BundleError, match=r"matrix has shape \[12, 9\], expected \[12, 8\]"):
        write_bundle(tmp_path / "new", **bundle_parts(), text=projector(dim=9))
    assert list(tmp_path.iterdir()) == []


def test_the_description_is_json(bundle):
    text = json.loads((bundle / "manifest.json").read_text())["text"]
    assert msgspec.convert(text, TextSpec) == projector().spec
