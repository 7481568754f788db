"""What the catalogue's agents make of records; publishing is tested on the real Kafka."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from small_text import small_text_encoder

from agents.catalogue import ItemAgent
from schemas import Item
from stream_app.observability.metrics import Metrics
from stream_app.streaming.publisher import Publisher


class Fragile:
    """A text encoder that one text breaks."""

    def __init__(self) -> None:
        self._encoder = small_text_encoder()
        self.meta, self.dim, self.digest = (
            self._encoder.meta, self._encoder.dim, self._encoder.digest,
        )  # fmt: skip

    def encode(self, texts):
        if any("poison" in text for text in texts):
            raise RuntimeError("graph failed")
        return self._encoder.encode(texts)


def test_a_text_that_breaks_the_encoder_does_not_take_others_along() -> None:
    agent = ItemAgent(
        None, None, None, Fragile(), Publisher({}, "test"), Metrics(CollectorRegistry()),
        vectors="v", dead_letters="d", letter_partitions=1,
        partition_of=len, vector_partition_of=len,
    )  # fmt: skip
    items = [Item(item_id=one, title=one) for one in ("a lamp", "poison", "a chair")]
    made, failed = agent._read_now(items)
    assert [one.item_id for one in made] == ["a lamp", "a chair"]
    assert failed == {"poison": "RuntimeError('graph failed')"}
