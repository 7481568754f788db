"""What several tests of training learn from."""

import pytest

from stream_app.datasets import EventTable

from .markov import markov_table


@pytest.fixture(scope="package")
def table() -> EventTable:
    """Users whose next item mostly follows from their last one."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    torch.set_num_threads(1)  # tiny models: threads only cost
    return markov_table()
