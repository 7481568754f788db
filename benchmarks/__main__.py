"""`python -m benchmarks`: what BENCHMARKS.md reports, in one run on one machine."""

from __future__ import annotations

import os
import sys
from importlib import import_module

PARTS = (
    "retrieval",
    "recommender",
    "objectives",
    "filters",
    "sources",
    "reasons",
    "decisions",
    "metrics",
    "recovery",
    "retention",
    "worker",
    "requests",
    "rules",
    "hostile",
    "flood",
)
# Run only when named: they train, or need data or a text encoder that is not in the repository.
LONG_PARTS = (
    "ablation",
    "catalogue",
    "cold",
    "cold-examples",
    "cold-profiles",
    "encoders",
    "ranker",
    "training-memory",
)

# As in a worker (stream_app/cli): one BLAS thread for one engine thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def main() -> None:
    """Run all parts, or the one named first on the command line with the rest as its options."""
    wanted, options = sys.argv[1:2] or PARTS, sys.argv[2:]
    for part in wanted:
        if part not in PARTS + LONG_PARTS:
            sys.exit(f"no benchmark {part!r}; there are {', '.join(PARTS + LONG_PARTS)}")
        print(f"\n## {part}\n", flush=True)
        sys.argv = [part, *options]
        import_module(f"benchmarks.{part.replace('-', '_')}").main()


if __name__ == "__main__":
    main()
