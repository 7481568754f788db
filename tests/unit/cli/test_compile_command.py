"""`stream-app compile` and `stream-app benchmark encoder`, as a user calls them."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest
from click.testing import CliRunner
from sample_bundle import write_sample_bundle

from stream_app.bundle.manifest import read_manifest
from stream_app.cli.benchmark import command as benchmark
from stream_app.cli.compile import command as compile_
from stream_app.encoders import EncoderError
from stream_app.encoders.probe import cuda_driver
from stream_app.errors import UserError
from stream_app.users.features import FEATURES

WITHOUT_GPU = pytest.mark.skipif(
    not isinstance(cuda_driver(), str), reason="needs a machine without GPU"
)


@pytest.fixture
def bundle(tmp_path):
    return write_sample_bundle(tmp_path / "sample", dim=16, state_size=24, features=FEATURES)


def run(command, *arguments):
    result = CliRunner().invoke(command, [str(one) for one in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def write_events(path, count=300):
    lines = ["user_id,item_id,timestamp_ms,action"]
    lines += [f"u{n % 7},item-{n * n % 60},{n + 2000},click" for n in range(count)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_variant_is_added_and_what_it_costs_is_said(bundle):
    (bundle / "manifest.json.sig").write_text("c2ln\n")
    result = run(compile_, bundle, "--precision", "fp16")
    assert result.exit_code == 0
    assert "sample@1: added step.fp16.onnx, " in result.output
    assert "its signature is removed, as the manifest changed: sign it again" in result.output
    assert set(read_manifest(bundle).variants) == {"fp16"}


def test_ndcg_is_measured_where_data_are_given(bundle, tmp_path):
    data = write_events(tmp_path / "events.csv")
    result = run(compile_, bundle, "--precision", "fp16", "--data", data, "--max-loss", "0.5")
    assert "NDCG@10 " in result.output
    measured = read_manifest(bundle).variants["fp16"].measured
    assert measured["ndcg"] == pytest.approx(measured["ndcg_fp32"], rel=0.5)
    assert measured["ndcg"] > 0


def test_too_large_a_loss_is_not_written(bundle, tmp_path, monkeypatch):
    scores = iter([{"ndcg": 0.2}, {"ndcg": 0.1}])
    monkeypatch.setattr("stream_app.evaluation.encoder.encoder_score", lambda *_: next(scores))
    data = write_events(tmp_path / "events.csv")
    with pytest.raises(UserError, match=r"int8 loses 50.0% of NDCG@10, more than --max-loss 1.0%"):
        run(compile_, bundle, "--precision", "int8", "--data", data)
    assert not read_manifest(bundle).variants


def test_data_that_are_not_newer_are_measured_at_their_end(tmp_path, bundle):
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    manifest["data"]["until_ms"] = 10**12
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    data = write_events(tmp_path / "events.csv")
    result = run(compile_, bundle, "--precision", "fp16", "--data", data, "--max-loss", "1")
    assert "no event is newer than the training data: measured on the last 20%" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --precision, --backend or both"),
        (["--precision", "int8", "--backend", "tensorrt"], "runs on ONNX Runtime only"),
        (["--precision", "int4"], "Invalid value for '--precision'"),
    ],
)
def test_what_makes_no_sense_is_refused(bundle, arguments, message):
    result = run(compile_, bundle, *arguments)
    assert result.exit_code == 2
    assert message in result.output


@WITHOUT_GPU
def test_an_engine_without_a_gpu_is_refused_or_built_to_show_that_it_can_be(bundle):
    with pytest.raises(EncoderError, match="tensorrt cannot be used here: no CUDA driver"):
        run(compile_, bundle, "--backend", "tensorrt")
    if find_spec("tensorrt_rtx") is None:
        pytest.skip("tensorrt_rtx is not installed")
    result = run(compile_, bundle, "--precision", "fp16", "--backend", "tensorrt_rtx")
    assert "builds an engine of " in result.output
    assert "it cannot run here (no CUDA driver" in result.output


def test_speed_is_told_by_batch_and_precision(bundle):
    run(compile_, bundle, "--precision", "fp16")
    few = ("--batch", "1,8", "--seconds", "0.01")
    result = run(benchmark, "encoder", bundle, *few)
    assert result.output.splitlines()[0].split()[:3] == ["backend", "precision", "batch"]
    assert len(result.output.splitlines()) == 5
    result = run(benchmark, "encoder", bundle, *few, "--precisions", "fp16", "--json")
    rows = json.loads(result.output)
    assert [(row["backend"], row["precision"], row["batch"]) for row in rows] == [
        ("onnxruntime-cpu", "fp16", 1),
        ("onnxruntime-cpu", "fp16", 8),
    ]
    assert all(row["p99_ms"] >= row["p50_ms"] > 0 < row["events_per_cpu_s"] for row in rows)
    assert all(row["calls"] >= 20 for row in rows)


@WITHOUT_GPU
def test_a_backend_that_is_not_there_is_skipped_with_its_reason(bundle):
    result = run(benchmark, "encoder", bundle, "--backends", "tensorrt", "--seconds", "0.01")
    assert result.exit_code == 0
    assert "tensorrt fp32: skipped: encoder backend 'tensorrt' cannot be used: no" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch", "0"], "--batch is '0'; give sizes from 1 on"),
        (["--batch", "a"], "--batch is 'a'"),
        (["--backends", "cuda"], "no backend 'cuda'; there are onnxruntime"),
    ],
)
def test_wrong_options_are_named(bundle, arguments, message):
    result = run(benchmark, "encoder", bundle, *arguments)
    assert result.exit_code == 2
    assert message in result.output
