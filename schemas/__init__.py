"""What travels on Kafka: typed messages, their codec, and the topics they travel on."""

from schemas.codec import (
    MAX_CLOCK_SKEW_MS,
    MAX_VALUE_BYTES,
    Encoding,
    decode,
    decode_output,
    encode,
)
from schemas.dead_letters import KEPT_VALUE_BYTES, dead_letter, dead_letter_headers
from schemas.duplicates import find_duplicate_key
from schemas.errors import Reason, RejectedMessage
from schemas.messages import (
    MAX_ID_BYTES,
    Click,
    DeadLetter,
    Experiment,
    Purchase,
    RankedItem,
    Recommendation,
    ServingModel,
    Trigger,
    UserEvent,
)
from schemas.topics import (
    CLICKS,
    DEAD_LETTERS,
    DEFAULT_PARTITIONS,
    PURCHASES,
    RECOMMENDATIONS,
    TOPICS,
    Topic,
    topic_name,
)

__all__ = [
    "CLICKS",
    "DEAD_LETTERS",
    "DEFAULT_PARTITIONS",
    "KEPT_VALUE_BYTES",
    "MAX_CLOCK_SKEW_MS",
    "MAX_ID_BYTES",
    "MAX_VALUE_BYTES",
    "PURCHASES",
    "RECOMMENDATIONS",
    "TOPICS",
    "Click",
    "DeadLetter",
    "Encoding",
    "Experiment",
    "Purchase",
    "RankedItem",
    "Reason",
    "Recommendation",
    "RejectedMessage",
    "ServingModel",
    "Topic",
    "Trigger",
    "UserEvent",
    "dead_letter",
    "dead_letter_headers",
    "decode",
    "decode_output",
    "encode",
    "find_duplicate_key",
    "topic_name",
]
