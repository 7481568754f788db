"""The larger data sets that a developer may have beside the checkout; no test depends on them."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared" / "data"


def shared_data(name: str) -> Path:
    """The path of a file or directory under `../shared/data`; skips the test where it is not."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"../shared/data/{name} is not there (data sets that are not ours to ship)")
    return path
