"""Plans are really built here, without a GPU, by TensorRT-RTX; and every refusal has its reason."""

from __future__ import annotations

import pytest
from graphs import KINDS, graph_of
from onnx_step import StepModel, onnx

pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed")

from stream_app.encoders.precision import to_precision
from stream_app.encoders.probe import cuda_driver
from stream_app.encoders.tensorrt import library as library_module
from stream_app.encoders.tensorrt.build import Recipe, build_plan
from stream_app.encoders.tensorrt.library import TensorrtError, open_library

ONE = ((1, 4, 8),)


@pytest.fixture(scope="module")
def library():
    return open_library("tensorrt_rtx")


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_of_every_kind_is_built(library, kind):
    spec, graph = graph_of(kind)
    recipe = Recipe(regimes=((1, 1, 2), (2, 4, 8)), window=spec.window)
    plan = build_plan(library, graph, recipe).plan
    assert len(plan) > 10_000


def test_a_float16_plan_is_built(library):
    graph = to_precision(graph_of("recurrent")[1], "fp16")
    assert len(build_plan(library, graph, Recipe(regimes=ONE)).plan) > 10_000


def test_an_int8_graph_of_onnx_runtime_is_refused_with_the_parsers_words(library):
    graph = to_precision(StepModel().onnx_bytes(), "int8")
    with pytest.raises(TensorrtError, match=r"cannot be parsed: .*DynamicQuantizeLinear"):
        build_plan(library, graph, Recipe(regimes=ONE))


def test_what_is_no_graph_is_refused(library):
    with pytest.raises(TensorrtError, match=r"cannot be parsed: .*MODEL_DESERIALIZE_FAILED"):
        build_plan(library, b"no graph", Recipe(regimes=ONE))


@pytest.mark.skipif(not isinstance(cuda_driver(), str), reason="needs a machine without GPU")
def test_a_plan_that_takes_weights_needs_a_gpu_and_says_so(library):
    with pytest.raises(TensorrtError, match=r"the engine cannot be built: .*Error Code 1"):
        build_plan(library, StepModel().onnx_bytes(), Recipe(regimes=ONE, refit=True))
    # Errors of before are not told again.
    assert build_plan(library, StepModel().onnx_bytes(), Recipe(regimes=ONE)).plan


def test_profiles_that_contradict_themselves_are_refused(library):
    with pytest.raises(TensorrtError, match="cannot be built: "):
        build_plan(library, StepModel().onnx_bytes(), Recipe(regimes=((8, 4, 1),)))


def test_a_graph_without_a_free_batch_is_refused(library):
    with pytest.raises(TensorrtError, match=r"shape \[1, 12\], .* expected a free batch"):
        build_plan(library, StepModel().onnx_bytes(batch=1), Recipe(regimes=ONE))
    spec, graph = graph_of("transformer")
    with pytest.raises(TensorrtError, match="expected a free batch"):
        build_plan(library, graph, Recipe(regimes=ONE))  # a window is missing
    assert spec.window


def test_a_graph_with_weights_elsewhere_is_refused(library, tmp_path):
    model = onnx.load_from_string(StepModel().onnx_bytes())
    onnx.save(
        model, tmp_path / "g.onnx", save_as_external_data=True, location="w", size_threshold=0
    )
    with pytest.raises(TensorrtError, match="cannot be parsed"):
        build_plan(library, (tmp_path / "g.onnx").read_bytes(), Recipe(regimes=ONE))


@pytest.mark.parametrize(
    "missing",
    [
        ModuleNotFoundError("No module named 'tensorrt'"),
        ImportError("libnvonnxparser.so.11: cannot open"),
    ],
)
def test_a_library_that_cannot_be_imported_is_named_with_its_cure(monkeypatch, missing):
    def fail(name):
        raise missing

    monkeypatch.setattr(library_module, "import_module", fail)
    with pytest.raises(TensorrtError, match=f"tensorrt cannot be imported: {missing}; docs/backen"):
        open_library("tensorrt")


def test_messages_go_to_the_exception_once(library):
    library.logger.log(library.trt.ILogger.Severity.ERROR, "out of memory ")
    library.logger.log(library.trt.ILogger.Severity.WARNING, "not so grave")
    assert str(library.error("it fails")) == (
        f"tensorrt_rtx {library.version}: it fails: out of memory"
    )
    assert str(library.error("it fails")).endswith("the library said nothing")
