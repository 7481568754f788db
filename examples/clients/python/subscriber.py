"""Prints each fresh list of each user: python subscriber.py GROUP"""

import json
import os
import signal
import sys
import time
from typing import Any

import msgpack
from confluent_kafka import Consumer, KafkaException

BOOTSTRAP_SERVERS = os.environ.get("BOOTSTRAP_SERVERS", "127.0.0.1:9092")
TOPIC_PREFIX = os.environ.get("TOPIC_PREFIX", "")

# Of each user's last list: what it covers. Keep it beside the list, where you keep that.
covered: dict[str, dict[str, int]] = {}


def is_news(made: dict[str, Any]) -> bool:
    """Whether a list is newer than the last one of its user: ahead somewhere, behind nowhere.

    After a failure a worker may send a list again (with the same rec_id), or late.
    """
    last, applied = covered.get(made["user_id"], {}), made.get("applied", {})
    ahead = any(offset > last.get(place, -1) for place, offset in applied.items())
    behind = any(offset < last.get(place, -1) for place, offset in applied.items())
    if not ahead or behind:
        return False
    covered[made["user_id"]] = applied
    return True


def handle(value: bytes) -> None:
    made = json.loads(value) if value[:1] == b"{" else msgpack.unpackb(value)
    if "trigger" not in made:
        return  # the answer to a request, for whoever asked
    if not is_news(made):
        print(f"passed over {made['rec_id']} of {made['user_id']}", flush=True)
        return
    age_ms = time.time_ns() // 1_000_000 - made["trigger"]["timestamp_ms"]
    items = " ".join(item["item_id"] for item in made["items"])
    print(f"{made['user_id']} {age_ms} ms after the event: {items}", flush=True)


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("usage: python subscriber.py GROUP")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    consumer = Consumer(
        {
            "bootstrap.servers": BOOTSTRAP_SERVERS,
            "group.id": sys.argv[1],
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([TOPIC_PREFIX + "recommendations"])
    try:
        while True:
            record = consumer.poll(1)
            if record is None:
                continue
            if record.error():
                raise KafkaException(record.error())
            handle(record.value())
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()  # commits how far it has come


main()
