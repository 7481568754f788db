"""Exact search against HNSW by catalogue size: what one query costs and what it finds.

Run: `python -m benchmarks.retrieval [--sizes 5000,10000,...] [--dim 64] [--json]`. Prints, per size
and `k`, microseconds of CPU per query on one thread in batches of 1, 32 and 256, recall against the
truth, and seconds to build. `stream_app.retrieval.build.LARGEST_EXACT` is where they cross.
"""

from __future__ import annotations

import argparse
import json
import os
import time

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # read when numpy is imported

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from stream_app.retrieval import ItemIndex, build_index, recall  # noqa: E402

SIZES = (5_000, 10_000, 20_000, 50_000, 100_000)
BATCHES = (1, 32, 256)
DEPTHS = (10, 64, 128)
QUERIES = 512
SECONDS_PER_POINT = 0.5
ITEMS_PER_CLUSTER = 250
SPREAD = 0.6  # noise per dimension around a cluster's centre, in units of the centre's


def clustered(items: int, queries: int, dim: int) -> tuple[NDArray[np.float32], ...]:
    """Unit item and query vectors around common centres, as a trained model gives them."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((max(items // ITEMS_PER_CLUSTER, 1), dim))

    def draw(count: int) -> NDArray[np.float32]:
        rows = centres[rng.integers(len(centres), size=count)]
        rows = rows + SPREAD * rng.standard_normal((count, dim))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    return draw(items), draw(queries)


def microseconds_per_query(
    index: ItemIndex, queries: NDArray[np.float32], batch: int, k: int
) -> float:
    """Median CPU time of a search, per query."""
    samples = []
    ends_at = time.perf_counter() + SECONDS_PER_POINT
    while time.perf_counter() < ends_at or len(samples) < 3:
        start = len(samples) * batch % (len(queries) - batch + 1)
        began = time.thread_time_ns()
        index.search(queries[start : start + batch], k)
        samples.append(time.thread_time_ns() - began)
    return float(np.median(samples)) / 1e3 / batch


def measure(items: int, dim: int, kind: str) -> list[dict[str, float | int | str]]:
    """One row of figures per depth."""
    vectors, queries = clustered(items, QUERIES, dim)
    began = time.thread_time()
    index = build_index(vectors, kind)
    build_s = time.thread_time() - began
    return [
        {
            "items": items,
            "index": kind,
            "k": k,
            "build_s": round(build_s, 2),
            "recall": round(recall(index, vectors, queries[:128], k), 4),
            **{
                f"us_b{batch}": round(microseconds_per_query(index, queries, batch, k), 1)
                for batch in BATCHES
            },
        }
        for k in DEPTHS
    ]


def main() -> None:
    """Print the table, or one JSON line per row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="catalogue sizes")
    parser.add_argument("--dim", type=int, default=64, help="size of a vector")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    arguments = parser.parse_args()
    for number, items in enumerate(map(int, arguments.sizes.split(","))):
        for kind in ("exact", "hnsw"):
            for row in measure(items, arguments.dim, kind):
                if arguments.json:
                    print(json.dumps(row), flush=True)
                    continue
                if not number and kind == "exact" and row["k"] == DEPTHS[0]:
                    print("".join(f"{name:>9}" for name in row))
                print("".join(f"{value:>9}" for value in row.values()), flush=True)


if __name__ == "__main__":
    main()
