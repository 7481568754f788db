"""`stream-app compile`: a bundle's encoder in fewer bits, or as an engine of this machine's GPU."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click
import numpy as np

from stream_app.bundle import load_bundle
from stream_app.bundle.load import graph_file
from stream_app.bundle.manifest import Precision, read_manifest, read_verified
from stream_app.bundle.variants import add_variant, convert, golden_loss, is_signed
from stream_app.cli.options import echo_json, json_option, meanwhile
from stream_app.datasets import AUTO, FORMATS, EventTable, open_dataset
from stream_app.encoders import EncoderError
from stream_app.encoders.probe import ON_GPU, why_not
from stream_app.errors import UserError

if TYPE_CHECKING:
    from stream_app.bundle import Bundle

_DATA = click.Path(exists=True, path_type=Path)
HELD_OUT = 0.2  # of the data where none of it is newer than what the bundle was trained on


@click.command(name="compile")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--precision", type=click.Choice(["fp16", "int8"]), help="Add a graph in fewer bits.")
@click.option(
    "--backend", type=click.Choice(ON_GPU), help="Build the engine of this machine's GPU."
)
@click.option("--data", type=_DATA, help="Measure NDCG@10 on this data set, as `train` reads it.")
@click.option(
    "--format", "kind", type=click.Choice([AUTO, *FORMATS]), default=AUTO, help="What --data is."
)
@click.option(
    "--max-loss",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="Share of NDCG@10 that fewer bits may cost.",
)
@json_option
def command(
    bundle: Path,
    precision: str | None,
    backend: str | None,
    data: Path | None,
    kind: str,
    max_loss: float,
    as_json: bool,
) -> None:
    """Compile the encoder of BUNDLE.

    With --precision, add its graph in float16 (for a GPU) or int8 (for ONNX Runtime on a CPU); it
    serves where the setting `precision` names it. With --backend, build the engine now, and keep it
    for the workers that this user starts on this machine; without a GPU only tensorrt_rtx can
    build, which shows that the graph compiles.
    """
    if precision is None and backend is None:
        raise click.UsageError("give --precision, --backend or both")
    if precision == "int8" and backend is not None:
        raise click.UsageError("an int8 graph runs on ONNX Runtime only: leave out --backend")
    done: dict[str, object] = {"bundle": str(bundle)}
    with meanwhile(as_json):
        if precision is not None:
            table = open_dataset(data, kind) if data else None
            done["added"] = _add(bundle, cast(Precision, precision), table, max_loss)
        if backend is not None:
            done["engine"] = _build(bundle, precision or "fp32", backend)
    if as_json:
        echo_json(done)


def _add(
    path: Path, precision: Precision, table: EventTable | None, max_loss: float
) -> dict[str, object]:
    signed = is_signed(path)
    graph, variant = convert(path, precision)
    measured = golden_loss(variant)
    if table is not None:
        measured |= _ndcg_loss(path, variant, table)
        before, after = measured["ndcg_fp32"], measured["ndcg"]
        click.echo(f"NDCG@10 {before:.4f} in fp32, {after:.4f} in {precision}")
        if after < before * (1 - max_loss):
            raise UserError(
                f"bundle {path}: {precision} loses {1 - after / before:.1%} of NDCG@10, more than "
                f"--max-loss {max_loss:.1%}; nothing was written"
            )
    added = add_variant(path, precision, graph, measured)
    size = (path / variant.manifest.encoder.graph_file).stat().st_size
    click.echo(
        f"{variant.release}: added {added.file}, {len(graph):,} bytes instead of {size:,}; user "
        f"vectors differ by up to {measured['user_difference']:.2g}, "
        f"{measured['top_10_kept']:.0%} of the ten nearest items stay; who shares a batch changes "
        f"them by up to {measured['batch_difference']:.2g}"
    )
    if signed:
        click.echo("its signature is removed, as the manifest changed: sign it again")
    return {
        "file": added.file, "bytes": len(graph), "measured": measured, "signature_removed": signed,
    }  # fmt: skip


def _ndcg_loss(path: Path, variant: Bundle, table: EventTable) -> dict[str, float]:
    """NDCG@10 of the encoder alone before and after, on events that it was not trained on."""
    from stream_app.evaluation.encoder import encoder_score

    until = variant.manifest.data.until_ms
    since = int(np.searchsorted(table.timestamps_ms, until, side="right"))
    if since >= len(table):
        since = int(len(table) * (1 - HELD_OUT))
        click.echo(f"no event is newer than the training data: measured on the last {HELD_OUT:.0%}")
    base = load_bundle(path, backend="onnxruntime", index="exact")
    return {
        "ndcg_fp32": encoder_score(base, table, since)["ndcg"],
        "ndcg": encoder_score(variant, table, since)["ndcg"],
    }


def _build(path: Path, precision: str, backend: str) -> dict[str, object]:
    began = time.monotonic()
    if (why := why_not(backend)) is None:
        loaded = load_bundle(path, backend=backend, index="exact", precision=precision)
        click.echo(
            f"{loaded.release}: serves on {loaded.encoder.backend}, ready after "
            f"{time.monotonic() - began:.1f} s; the engine is kept for the next start"
        )
        return {"backend": loaded.encoder.backend, "kept": True}
    if backend != "tensorrt_rtx":
        raise EncoderError(f"{backend} cannot be used here: {why}")
    from stream_app.encoders.tensorrt.build import Recipe, build_plan
    from stream_app.encoders.tensorrt.library import open_library

    library = open_library(backend)
    manifest = read_manifest(path)
    graph = read_verified(path, manifest)[graph_file(path, manifest, precision)]
    plan = build_plan(library, graph, Recipe(window=manifest.encoder.window)).plan
    click.echo(
        f"{manifest.release}: {backend} {library.version} builds an engine of {len(plan):,} bytes "
        f"in {time.monotonic() - began:.1f} s; it cannot run here ({why}) and is not kept"
    )
    return {"backend": backend, "kept": False, "bytes": len(plan), "why": why}
