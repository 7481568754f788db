"""`python -m benchmarks`: everything that BENCHMARKS.md reports, in one run on one machine."""

from __future__ import annotations

import runpy
import sys

PARTS = ("retrieval", "recommender", "worker")


def main() -> None:
    """Run all parts, or those named on the command line."""
    for part in sys.argv[1:] or PARTS:
        if part not in PARTS:
            sys.exit(f"no benchmark {part!r}; there are {', '.join(PARTS)}")
        print(f"\n## {part}\n", flush=True)
        sys.argv = [part]
        runpy.run_module(f"benchmarks.{part}", run_name="__main__")


main()
