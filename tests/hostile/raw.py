"""Record batches as no client library writes them, and a way to hand them to a broker."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Iterable, Sequence

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

RawHeaders = Iterable[tuple[bytes | None, bytes | None]]
NO_PRODUCER = -1


def record(
    offset_delta: int,
    key: bytes | None,
    value: bytes | None,
    headers: RawHeaders = (),
    *,
    attributes: int = 0,
) -> bytes:
    """One record in format 2, whatever it holds."""
    fields = [
        bytes([attributes]), varint(0), varint(offset_delta), blob(key), blob(value),
    ]  # fmt: skip
    listed = list(headers)
    fields.append(varint(len(listed)))
    for name, content in listed:
        fields += [blob(name), blob(content)]
    body = b"".join(fields)
    return varint(len(body)) + body


def batch(
    records: Sequence[bytes], *, last_offset_delta: int | None = None, base_offset: int = 0
) -> bytes:
    """A record batch without compression, with a right checksum."""
    last = len(records) - 1 if last_offset_delta is None else last_offset_delta
    now = time.time_ns() // 1_000_000
    body = struct.pack(
        ">hiqqqhii", 0, last, now, now, NO_PRODUCER, NO_PRODUCER, NO_PRODUCER, len(records)
    ) + b"".join(records)
    after_length = struct.pack(">ibI", -1, 2, calc_crc32c(body)) + body
    return struct.pack(">qi", base_offset, len(after_length)) + after_length


def varint(value: int) -> bytes:
    """A zigzag-encoded integer."""
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 0x7F:
        out.append(0x80 | value & 0x7F)
        value >>= 7
    out.append(value)
    return bytes(out)


def blob(content: bytes | None) -> bytes:
    """Bytes with their length in front, null as -1."""
    return varint(-1) if content is None else varint(len(content)) + content


def produce(bootstrap_servers: str, topic: str, partition: int, data: bytes) -> tuple[int, int]:
    """Append a batch; returns the broker's error code (0 for none) and the offset it gave."""
    return asyncio.run(_produce(bootstrap_servers, topic, partition, data))


async def _produce(bootstrap: str, topic: str, partition: int, data: bytes) -> tuple[int, int]:
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    try:
        await client.set_topics([topic])
        node = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        request = ProduceRequest(None, -1, 10_000, [(topic, [(partition, data)])])
        response = await client.send(node, request)
        ((_, ((_, code, offset, *_rest),)),) = response.topics
        return code, offset
    finally:
        await client.close()
