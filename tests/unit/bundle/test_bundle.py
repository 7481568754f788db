"""A bundle is loaded whole and tried out, or refused with a message that says what is wrong."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil

import msgspec
import numpy as np
import pytest
from onnx_step import StepModel
from sample_bundle import bundle_parts, write_sample_bundle

from stream_app.bundle import BundleError, Priors, load, load_bundle, write_bundle
from stream_app.encoders import EncoderError, History, OnnxEncoder
from stream_app.encoders import load as encoders_load
from stream_app.retrieval import build

FILES = ["step.onnx", "items.msgpack", "vectors.npy", "priors.npz", "golden.npz"]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_sample_bundle(tmp_path_factory.mktemp("bundles") / "sample")


@pytest.fixture
def bundle(original, tmp_path):
    """A copy to damage."""
    return shutil.copytree(original, tmp_path / "sample")


def edit_manifest(path, change):
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))


def swap(path, name, raw):
    """Put other content in a file, with the checksum that belongs to it."""
    (path / name).write_bytes(raw)
    digest = hashlib.sha256(raw).hexdigest()
    edit_manifest(path, lambda manifest: manifest["files"].update({name: digest}))


def swap_arrays(path, name, change):
    with np.load(path / name) as archive:
        arrays = dict(archive)
    change(arrays)
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    swap(path, name, stream.getvalue())


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def test_a_written_bundle_loads_as_it_was(original):
    parts = bundle_parts()
    bundle = load_bundle(original)
    assert bundle.release == "sample@1"
    assert bundle.manifest.metrics == parts["metrics"]
    assert bundle.manifest.encoder == parts["encoder"]
    assert bundle.manifest.data == parts["data"]
    assert bundle.manifest.ranking.temperature == 0.07
    assert bundle.catalog.ids == parts["items"]
    np.testing.assert_allclose(bundle.catalog.vectors, parts["vectors"], atol=1e-3)
    for name in ("successors", "counts", "popularity"):
        assert np.array_equal(getattr(bundle.priors, name), getattr(parts["priors"], name))
    assert bundle.index.kind == "exact"
    assert len(bundle.index) == 60
    history = History(bundle.catalog.vectors[:4], np.zeros((4, 5), np.float32))
    _, users = bundle.encoder.encode([history])
    positions, _ = bundle.index.search(users, 3)
    best = np.argsort(-(bundle.catalog.vectors @ users[0]))[:3]
    assert positions[0].tolist() == best.tolist()


def test_the_index_can_be_chosen(original):
    assert load_bundle(original, index="hnsw").index.kind == "hnsw"
    with pytest.raises(BundleError, match="index 'ivf' is unknown; use one of auto, exact, hnsw"):
        load_bundle(original, index="ivf")


def test_an_approximate_index_that_misses_too_much_does_not_serve(
    original, monkeypatch, degraded_by
):
    # 2 is more than any index finds: what is tested is what follows.
    monkeypatch.setattr(load, "LOWEST_RECALL", 2.0)
    with pytest.raises(BundleError, match=r"the hnsw index finds \d+% of .*; use index `exact`"):
        load_bundle(original, index="hnsw")
    monkeypatch.setattr(build, "LARGEST_EXACT", 10)
    assert load_bundle(original, index="auto").index.kind == "exact"
    assert degraded_by() == {"index_replaced": 1}


def test_a_backend_that_is_not_available_is_named(original):
    with pytest.raises(EncoderError, match="encoder backend 'cuda' is unknown; use one of"):
        load_bundle(original, backend="cuda")


def test_a_backend_that_fails_the_golden_batch_serves_under_no_name(original, monkeypatch):
    def another(name, spec, graph, precision, on_cpu):
        """What is loaded under the name of a GPU: the graph of another seed."""
        return OnnxEncoder("x", graph=StepModel(seed=1).onnx_bytes())

    monkeypatch.setattr(encoders_load, "_open", another)
    assert load_bundle(original).encoder.backend == "onnxruntime-cpu"
    with pytest.raises(BundleError, match="golden batch: states on onnxruntime-cpu differ"):
        load_bundle(original, backend="tensorrt")


def test_the_same_parts_give_the_same_bytes(original, tmp_path):
    write_sample_bundle(tmp_path / "again")
    for name in [*FILES, "manifest.json"]:
        assert (original / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_bundle_is_exactly_what_its_manifest_lists(bundle):
    (bundle / "weights.bin").write_text("not covered by any checksum")
    with pytest.raises(BundleError, match=r"holds weights.bin, which the manifest does not list"):
        load_bundle(bundle)
    (bundle / "weights.bin").unlink()
    (bundle / "more").mkdir()
    with pytest.raises(BundleError, match=r"holds more, which the manifest does not list"):
        load_bundle(bundle)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_link_instead_of_a_file_is_refused(bundle, tmp_path, name):
    (bundle / name).rename(tmp_path / "elsewhere")
    (bundle / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=rf"{name} is a symbolic link"):
        load_bundle(bundle)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_plain_file_is_refused_and_not_waited_for(bundle, make):
    (bundle / "vectors.npy").unlink()
    make(bundle / "vectors.npy")
    with pytest.raises(BundleError, match=r"vectors.npy (is not a plain file|cannot be read)"):
        load_bundle(bundle)


def test_a_bundle_can_be_reached_through_a_link(bundle, tmp_path):
    """How releases are switched: `current` points at one of them."""
    (tmp_path / "current").symlink_to(bundle)
    assert load_bundle(tmp_path / "current").release == "sample@1"


def test_the_graph_that_was_verified_is_the_one_that_runs(bundle, monkeypatch):
    """A file that is changed between its check and its use changes nothing."""
    read = load.read_verified

    def changed_afterwards(path, manifest):
        contents = read(path, manifest)
        (path / "step.onnx").write_bytes(b"changed")
        return contents

    monkeypatch.setattr(load, "read_verified", changed_afterwards)
    assert load_bundle(bundle).release == "sample@1"
    assert (bundle / "step.onnx").read_bytes() == b"changed"


def test_fields_of_a_later_release_are_ignored(bundle):
    edit_manifest(bundle, lambda manifest: manifest.update(text_encoder={"kind": "later"}))
    assert load_bundle(bundle).release == "sample@1"


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(BundleError, match=r"bundle .*nowhere: no such directory"):
        load_bundle(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_missing_file_is_named(bundle, name):
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=rf"{name} is missing; rebuild it with `stream-app train"):
        load_bundle(bundle)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_one_flipped_bit_is_found(bundle, name, where):
    raw = bytearray((bundle / name).read_bytes())
    raw[int(where * (len(raw) - 1))] ^= 1
    (bundle / name).write_bytes(raw)
    with pytest.raises(BundleError, match=rf"{name} sha256 differs from the manifest; rebuild it"):
        load_bundle(bundle)


@pytest.mark.parametrize("name", ["../x", "/etc/hostname", "a/b", "..", ".", "", "a\\b", ".hidden"])
def test_a_manifest_cannot_reach_out_of_its_directory(bundle, name):
    edit_manifest(bundle, lambda manifest: manifest["files"].update({name: "0" * 64}))
    with pytest.raises(BundleError, match=r"manifest.json is not valid: .*files"):
        load_bundle(bundle)


@pytest.mark.parametrize("name", FILES)
def test_a_manifest_that_leaves_out_a_file_is_refused(bundle, name):
    edit_manifest(bundle, lambda manifest: manifest["files"].pop(name))
    with pytest.raises(BundleError, match=f"manifest.json lists no {name}"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    "raw", [b"", b"not json", b"{}", b"[1]", b"\xff\xfe", b'{"schema_version": "1"}']
)
def test_a_manifest_that_is_none_is_refused(bundle, raw):
    (bundle / "manifest.json").write_bytes(raw)
    with pytest.raises(BundleError, match=r"manifest.json is not valid"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("field", "value"), [("name", "a@b"), ("version", ""), ("encoder", {"kind": "transformer"})]
)
def test_a_wrong_field_is_named(bundle, field, value):
    edit_manifest(bundle, lambda manifest: manifest.update({field: value}))
    with pytest.raises(BundleError, match=rf"manifest.json is not valid: .*\$\.{field}"):
        load_bundle(bundle)


@pytest.mark.parametrize("created", ["yesterday", "2026-01-02T03:04:05"])
def test_a_time_that_is_none_is_named(bundle, created):
    edit_manifest(bundle, lambda manifest: manifest.update(created=created))
    with pytest.raises(BundleError, match=rf"manifest.json is not valid: .*{created}"):
        load_bundle(bundle)


def test_a_newer_schema_asks_for_an_upgrade(bundle):
    # Nothing else of it can be relied upon, so nothing else is looked at.
    (bundle / "manifest.json").write_text('{"schema_version": 2, "files": "elsewhere"}')
    with pytest.raises(
        BundleError, match=r"schema version 2 is newer than 1, .*upgrade stream-app"
    ):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("items.msgpack", b"\xc1", "items.msgpack: "),
        ("items.msgpack", msgspec.msgpack.encode([1, 2]), "items.msgpack: Expected `str`"),
        ("items.msgpack", msgspec.msgpack.encode(["a", "b"]), r"vectors.npy: .*expected \[2, 8\]"),
        ("items.msgpack", msgspec.msgpack.encode(["a"] * 60), "item 'a' is in the catalogue twice"),
        ("vectors.npy", b"x", "vectors.npy: is not a numpy file"),
        ("vectors.npy", npy(np.zeros((59, 8), np.float16)), r"\[59, 8\], expected \[60, 8\]"),
        ("vectors.npy", npy(np.zeros((60, 9), np.float16)), r"\[60, 9\], expected \[60, 8\]"),
        ("vectors.npy", npy(np.zeros((60, 8), np.int8)), "int8, expected float16 or float32"),
        ("vectors.npy", npy(np.full((60, 8), np.nan, np.float16)), "item vector 0 has length nan"),
        ("vectors.npy", npy(np.ones((60, 8), np.float16)), "item vector 0 has length 2.828"),
        ("step.onnx", b"x", "step.onnx: not a graph"),
        ("priors.npz", npy(np.zeros(3)), "priors.npz: holds one array"),
        ("golden.npz", b"x", "golden.npz: is not a numpy file"),
    ],
)
def test_a_file_that_does_not_fit_is_named(bundle, name, raw, message):
    swap(bundle, name, raw)
    with pytest.raises((BundleError, EncoderError), match=message):
        load_bundle(bundle)


def test_pickled_arrays_are_never_loaded(bundle):
    stream = io.BytesIO()
    np.save(stream, np.array([print], dtype=object), allow_pickle=True)
    swap(bundle, "vectors.npy", stream.getvalue())
    with pytest.raises(BundleError, match=r"vectors.npy: is not a numpy file: .*allow_pickle"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("name", "array", "change", "message"),
    [
        ("priors.npz", "counts", lambda a: a[:-1], r"counts has shape \[59, 32\], expected \[60"),
        ("priors.npz", "counts", lambda a: a - 5, "counts holds values that are negative"),
        ("priors.npz", "popularity", lambda a: a * np.nan, "popularity holds values .* not finite"),
        ("priors.npz", "successors", lambda a: a + 9, r"positions outside -1..59"),
        ("priors.npz", "successors", lambda a: a.astype(float), "is float64, expected int32"),
        (
            "golden.npz",
            "users",
            lambda a: a[:, :-1],
            r"users has shape \[3, 7\], expected \[3, 8\]",
        ),
        ("golden.npz", "lengths", lambda a: a + 1, r"items has shape \[11\], expected \[14\]"),
        ("golden.npz", "lengths", lambda a: a[0], "golden.npz: "),
        ("golden.npz", "items", lambda a: a + 60, "items hold positions outside"),
        ("golden.npz", "top", lambda a: a + 60, "positions outside the catalogue"),
        ("golden.npz", "users", lambda a: a + 0.01, "golden batch: user vectors .* up to 0.01"),
        ("golden.npz", "users", lambda a: a * np.nan, "golden batch: user vectors .* nan"),
        ("golden.npz", "states", lambda a: a * 1.01, "golden batch: states .* differ"),
        ("golden.npz", "top", lambda a: a[:, ::-1], "golden batch: the nearest items differ"),
        ("golden.npz", "features", lambda a: a * 2, "golden batch: states on onnxruntime-cpu"),
    ],
)
def test_arrays_that_do_not_fit_are_named(bundle, name, array, change, message):
    swap_arrays(bundle, name, lambda arrays: arrays.update({array: change(arrays[array])}))
    with pytest.raises(BundleError, match=message):
        load_bundle(bundle)


def test_a_missing_array_is_named(bundle):
    swap_arrays(bundle, "priors.npz", lambda arrays: arrays.pop("counts"))
    with pytest.raises(BundleError, match=r"priors.npz: holds no array 'counts'"):
        load_bundle(bundle)


def test_vectors_of_another_release_fail_the_golden_batch(bundle, tmp_path):
    other = write_sample_bundle(tmp_path / "other", seed=1)
    swap(bundle, "vectors.npy", (other / "vectors.npy").read_bytes())
    with pytest.raises(BundleError, match="golden batch: "):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "a@b"}, r"manifest.json is not valid: .*\$\.name"),
        ({"created": "noon"}, "new cannot be written: Invalid isoformat string: 'noon'"),
        ({"items": ["a", "b"]}, r"2 items need vectors \[2, d\]"),
        ({"vectors": np.ones((60, 8))}, "item vector 0 has length 2.828"),
        ({"priors": Priors.empty(3)}, r"successors has shape \[3, 32\], expected \[60, 32\]"),
        ({"golden": []}, "needs at least one history"),
        ({"graph": b"x"}, "not a graph"),
    ],
)
def test_what_would_not_load_is_not_written(tmp_path, change, message):
    path = tmp_path / "new"
    with pytest.raises((BundleError, EncoderError), match=message) as raised:
        write_bundle(path, **bundle_parts() | change)
    assert ".new-" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_bundle_is_only_replaced_on_request(bundle):
    other = bundle_parts() | {"version": "2"}
    with pytest.raises(BundleError, match="exists; choose another path, or ask to replace it"):
        write_bundle(bundle, **other)
    assert load_bundle(bundle).release == "sample@1"
    write_bundle(bundle, **other, replace=True)
    assert load_bundle(bundle).release == "sample@2"
    assert [path.name for path in bundle.parent.iterdir()] == ["sample"]


def test_a_failed_replacement_leaves_the_old_bundle(bundle):
    with pytest.raises(BundleError):
        write_bundle(bundle, **bundle_parts() | {"golden": []}, replace=True)
    assert load_bundle(bundle).release == "sample@1"


def test_a_directory_that_is_no_bundle_is_never_replaced(tmp_path):
    (tmp_path / "precious").write_text("keep")
    with pytest.raises(BundleError, match="exists and is not a bundle"):
        write_bundle(tmp_path, **bundle_parts(), replace=True)
    assert (tmp_path / "precious").read_text() == "keep"
