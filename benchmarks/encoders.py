"""The encoder of the shipped bundle by precision and size of batch, on one CPU thread.

Run: `python -m benchmarks.encoders [--bundle DIR] [--seconds 2] [--json]`. Compiles a copy of the
bundle to fp16 and int8, and prints latency and events per second of processor time.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from stream_app.bundle.variants import add_variant, convert, golden_loss
from stream_app.cli.benchmark import command

BUNDLE = Path(__file__).parents[1] / "examples/movielens/bundle"


def main() -> None:
    """Print the table, or one JSON line per row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=BUNDLE, help="directory of a bundle")
    parser.add_argument("--seconds", default="2", help="time for each row")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bundle = Path(scratch) / "bundle"
        shutil.copytree(arguments.bundle, bundle)
        for precision in ("fp16", "int8"):
            graph, variant = convert(bundle, precision)
            add_variant(bundle, precision, graph, golden_loss(variant))
        options = ["encoder", str(bundle), "--seconds", arguments.seconds]
        command([*options, *(["--json"] if arguments.json else [])], standalone_mode=False)


if __name__ == "__main__":
    main()
