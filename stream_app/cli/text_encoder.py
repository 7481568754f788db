"""`stream-app text-encoder`: make the sentence encoder of a worker, and check one."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from stream_app.cli.options import echo, json_option, meanwhile
from stream_app.errors import UserError
from stream_app.text import TextEncoder, TextMeta

NEEDED = ("torch", "onnx", "onnxscript", "transformers", "tokenizers")
# `training.text_model` cannot be imported here: commands must start without what training needs.
DEFAULT_MODEL = "all-MiniLM-L6-v2"


@click.group()
def command() -> None:
    """Make the encoder that turns texts of items and profiles into vectors, or check one."""


@command.command()
@click.option(
    "--model",
    default=DEFAULT_MODEL,
    show_default=True,
    help="A directory with a model of transformers, or its name on the model hub; the default "
    "comes from an installed package.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="The directory to write."
)
@click.option("--int8", is_flag=True, help="Quantise the weights: a quarter of the size.")
@click.option("--replace", is_flag=True, help="Write over an existing encoder.")
@json_option
def export(model: str, out: Path, int8: bool, replace: bool, as_json: bool) -> None:
    """Export a sentence encoder to ONNX and compare it with its model."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(
            f"exporting needs {', '.join(missing)}, which a worker does not: "
            "pip install 'stream-app[train]'"
        )
    from stream_app.training.text_export import export_text_encoder

    with meanwhile(as_json):
        made = export_text_encoder(
            out, model=model, int8=int8, replace=replace, on_stage=click.echo
        )
    said = f"{out}: {_text(made.meta)}, smallest cosine to the model {made.cosine:.4f}"
    echo(as_json, {"directory": str(out), "meta": made.meta, "cosine": made.cosine}, said)


@command.command()
@click.argument("directory", type=click.Path(path_type=Path))
@json_option
def verify(directory: Path, as_json: bool) -> None:
    """Check the files of DIRECTORY against their checksums, and try the encoder out."""
    meta = TextEncoder.load(directory).meta
    echo(as_json, {"directory": str(directory), "meta": meta}, f"{directory}: {_text(meta)}")


def _text(meta: TextMeta) -> str:
    return (
        f"{meta.name}, {meta.precision}, {meta.dim} dimensions, {meta.max_length} tokens, licence "
        f"{meta.licence}, sha256 {meta.digest}"
    )
