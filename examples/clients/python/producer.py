"""Sends a click and a purchase of a user: python producer.py USER ITEM [REC_ID]"""

import json
import os
import sys
import time
import uuid

from confluent_kafka import KafkaError, Message, Producer

BOOTSTRAP_SERVERS = os.environ.get("BOOTSTRAP_SERVERS", "127.0.0.1:9092")
TOPIC_PREFIX = os.environ.get("TOPIC_PREFIX", "")

failed = []


def delivered(error: KafkaError | None, message: Message) -> None:
    """Called once for every event: it is on Kafka, or it is lost and must be sent again."""
    if error is not None:
        failed.append(error)
        print(f"not sent: {error}", file=sys.stderr)
    else:
        print(f"sent {message.topic()}/{message.partition()}@{message.offset()}")


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit("usage: python producer.py USER ITEM [REC_ID]")
    user_id, item_id, *rec_id = sys.argv[1:]
    producer = Producer(
        {
            "bootstrap.servers": BOOTSTRAP_SERVERS,
            # The default of librdkafka is another hash, which a worker turns away.
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
        }
    )
    event = {
        "user_id": user_id,
        "item_id": item_id,
        "timestamp_ms": time.time_ns() // 1_000_000,
    }
    if rec_id:  # the list in which the user found the item, if it was in one
        event["rec_id"] = rec_id[0]
    # With an event_id an event that is sent twice is applied once. A shop has one: the order.
    click = event | {"action": "view", "event_id": str(uuid.uuid4())}
    purchase = event | {"quantity": 1, "price": 9.5, "currency": "EUR"}
    purchase |= {"event_id": str(uuid.uuid4())}
    for topic, message in (("clicks", click), ("purchases", purchase)):
        producer.produce(
            TOPIC_PREFIX + topic, key=user_id, value=json.dumps(message), on_delivery=delivered
        )
    left = producer.flush(30)
    if failed or left:
        sys.exit(f"{len(failed) + left} events were not sent")


main()
