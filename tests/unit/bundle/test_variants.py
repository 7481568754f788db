"""A bundle may hold its encoder in fewer bits: verified like the rest, taken when asked for."""

from __future__ import annotations

import hashlib
import json

import pytest
from onnx_step import StepModel
from sample_bundle import write_sample_bundle

from stream_app.bundle import BundleError, load_bundle
from stream_app.bundle.manifest import read_manifest
from stream_app.bundle.variants import add_variant, convert, golden_loss, is_signed


@pytest.fixture
def bundle(tmp_path):
    return write_sample_bundle(tmp_path / "sample", dim=16, state_size=24)


def add(bundle, precision):
    graph, variant = convert(bundle, precision)
    return add_variant(bundle, precision, graph, golden_loss(variant))


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_variant_is_added_and_served_when_asked_for(bundle, precision):
    before = {file.name: file.read_bytes() for file in bundle.iterdir()}
    variant = add(bundle, precision)
    assert variant.file == f"step.{precision}.onnx"
    assert 0 < variant.measured["user_difference"] < 0.05
    assert variant.measured["top_10_kept"] > 0.8
    # int8 has one scale for the activations of all users of a batch.
    assert (variant.measured["batch_difference"] < 1e-5) == (precision == "fp16")
    manifest = read_manifest(bundle)
    assert manifest.variants == {precision: variant}
    after = {file.name: file.read_bytes() for file in bundle.iterdir()}
    assert after.keys() - before.keys() == {variant.file}
    assert all(after[name] == before[name] for name in before if name != "manifest.json")
    whole, small = load_bundle(bundle), load_bundle(bundle, precision=precision)
    history = [*StepModel(16, 24, 5).histories([4])]
    apart = abs(whole.encoder.encode(history)[1] - small.encoder.encode(history)[1]).max()
    assert 0 < apart < 0.05


def test_both_variants_stand_side_by_side_and_can_be_made_again(bundle):
    for precision in ("fp16", "int8", "int8"):
        add(bundle, precision)
    assert set(read_manifest(bundle).variants) == {"fp16", "int8"}
    assert [path.name for path in bundle.parent.iterdir()] == ["sample"]


def test_a_precision_that_is_not_there_is_named(bundle):
    with pytest.raises(BundleError, match="holds no int8 graph; make it with `stream-app compile"):
        load_bundle(bundle, precision="int8")


def test_a_variant_that_computes_something_else_is_not_added(bundle):
    before = (bundle / "manifest.json").read_bytes()
    other = StepModel(16, 24, 5, seed=3).onnx_bytes()
    with pytest.raises(BundleError, match=r"bundle .*/sample: golden batch: .* \(tolerance 0.05\)"):
        add_variant(bundle, "int8", other, {})
    assert (bundle / "manifest.json").read_bytes() == before
    assert [path.name for path in bundle.parent.iterdir()] == ["sample"]


def test_a_damaged_or_missing_variant_refuses_the_whole_bundle(bundle):
    add(bundle, "int8")
    file = bundle / "step.int8.onnx"
    raw = file.read_bytes()
    file.write_bytes(raw[:-1])
    with pytest.raises(BundleError, match=r"step.int8.onnx sha256 differs"):
        load_bundle(bundle)
    file.unlink()
    with pytest.raises(BundleError, match=r"step.int8.onnx is missing"):
        load_bundle(bundle)
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    del manifest["files"]["step.int8.onnx"]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"manifest.json lists no step.int8.onnx"):
        load_bundle(bundle)


def test_a_wrong_variant_is_found_when_it_would_serve(bundle):
    """Its checksum is right: somebody changed the manifest as well."""
    add(bundle, "int8")
    other = StepModel(16, 24, 5, seed=3).onnx_bytes()
    (bundle / "step.int8.onnx").write_bytes(other)
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    manifest["files"]["step.int8.onnx"] = hashlib.sha256(other).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    assert load_bundle(bundle).release == "sample@1"
    with pytest.raises(BundleError, match="golden batch: "):
        load_bundle(bundle, precision="int8")


def test_a_signature_does_not_survive_a_new_manifest(bundle):
    (bundle / "manifest.json.sig").write_text("c2lnbmF0dXJl\n")
    assert is_signed(bundle)
    add(bundle, "fp16")
    assert not is_signed(bundle)
