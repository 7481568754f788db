"""`stream-app benchmark`: how fast the parts of a release are on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from stream_app.bundle import load_bundle
from stream_app.bundle.manifest import read_manifest
from stream_app.cli.options import echo_json
from stream_app.encoders import EncoderError
from stream_app.encoders.load import BACKENDS
from stream_app.encoders.measure import Speed, measure

NAMED = tuple(name for name in BACKENDS if name != "auto")
COLUMNS = {"backend": -24, "precision": 10, "batch": 7, "p50 ms": 10, "p99 ms": 10}
HEADER = (
    "".join(
        f"{name:>{width}}" if width > 0 else f"{name:<{-width}}" for name, width in COLUMNS.items()
    )
    + f"{'events / CPU s':>16}"
)


@click.group()
def command() -> None:
    """Measure speed on this machine."""


@command.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--batch", "batches", default="1,8,32,256", show_default=True, help="Users per call.")
@click.option(
    "--backends",
    default="onnxruntime",
    show_default=True,
    help=f"Any of {', '.join(NAMED)}; one that cannot be used is skipped with its reason.",
)
@click.option(
    "--precisions", default=None, help="Any of fp32, fp16, int8 [default: all of the bundle]."
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.01, 600),
    default=2.0,
    show_default=True,
    help="Time for each line.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
def encoder(
    bundle: Path, batches: str, backends: str, precisions: str | None, seconds: float, as_json: bool
) -> None:
    """Latency of the encoder of BUNDLE by size of batch, and events per second of one core."""
    sizes = _sizes(batches)
    manifest = read_manifest(bundle)
    chosen = precisions.split(",") if precisions else ["fp32", *manifest.variants]
    speeds = _speeds(bundle, backends.split(","), chosen, sizes, seconds)
    if as_json:
        echo_json(list(speeds))
        return
    click.echo(HEADER)
    for speed in speeds:
        click.echo(
            f"{speed.backend:<24}{speed.precision:>10}{speed.batch:>7}{speed.p50_ms:>10.3f}"
            f"{speed.p99_ms:>10.3f}{speed.events_per_cpu_s:>16,.0f}"
        )


def _speeds(
    bundle: Path, backends: list[str], precisions: list[str], sizes: list[int], seconds: float
) -> Iterator[Speed]:
    for backend in backends:
        if backend not in NAMED:
            raise click.UsageError(f"no backend {backend!r}; there are {', '.join(NAMED)}")
        for precision in precisions:
            try:
                loaded = load_bundle(bundle, backend=backend, index="exact", precision=precision)
            except EncoderError as error:
                click.echo(f"{backend} {precision}: skipped: {error}", err=True)
                continue
            spec = loaded.manifest.encoder
            for size in sizes:
                yield measure(loaded.encoder, spec, size, precision=precision, seconds=seconds)


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or min(sizes) < 1:
        raise click.UsageError(f"--batch is {text!r}; give sizes from 1 on, such as 1,32,256")
    return sizes
