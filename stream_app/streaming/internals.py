"""Every private name of faust and aiokafka that the streaming layer relies on.

A private name can change its meaning without notice, so each is listed here with the reason, the
worker refuses to start on another release, and a test fails when a name is gone.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import NamedTuple

from stream_app.errors import UserError

PINNED = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0", "mode-streaming": "0.7.1"}


class PrivateUse(NamedTuple):
    """One private name: where it lives, which file here uses it, and why nothing public does."""

    owner: str
    name: str
    used_in: str
    why: str


PRIVATE_USES = (
    PrivateUse("faust.transport.consumer:Consumer", "_paused_partitions", "consumer.py",
               "a dropped buffer must not wake a partition that recovery has paused"),
    PrivateUse("faust.transport.consumer:Consumer", "_buffered_partitions", "consumer.py",
               "bookkeeping of full buffers that a pause has to clear"),
    PrivateUse("faust.transport.consumer:Consumer", "_getmany", "consumer.py",
               "the live set of active partitions is frozen before another thread reads it"),
    PrivateUse("faust.transport.consumer:Consumer", "_add_gap", "consumer.py",
               "a hole in the offsets would be committed as processed; here it ends the process"),
    PrivateUse("faust.transport.consumer:Consumer", "_acked", "consumer.py",
               "acknowledgements of an earlier generation would be committed in the next one"),
    PrivateUse("faust.transport.consumer:Consumer", "_acked_index", "consumer.py",
               "the same"),
    PrivateUse("faust.transport.consumer:Consumer", "_gap", "consumer.py",
               "the same"),
    PrivateUse("faust.transport.consumer:Consumer", "_committed_offset", "consumer.py",
               "where a partition must continue after an assignment, and what is committed (lag)"),
    PrivateUse("faust.transport.consumer:ThreadDelegateConsumer",
               "_new_consumer_thread", "consumer.py",
               "to install the consumer thread below"),
    PrivateUse("faust.transport.consumer:Consumer", "wait_first", "drain.py",
               "advances a message callback once before tasks are made for it"),
    PrivateUse("faust.transport.drivers.aiokafka:AIOKafkaConsumerThread",
               "_create_worker_consumer", "consumer.py",
               "fetch_max_wait_ms is fixed at 1500 there, and no setting reaches it"),
    PrivateUse("faust.transport.drivers.aiokafka:AIOKafkaConsumerThread",
               "_fetch_records", "consumer.py",
               "getmany takes broker_max_poll_records, as recovery needs; alignment needs fewer"),
    PrivateUse("faust.transport.drivers.aiokafka:AIOKafkaConsumerThread",
               "_ensure_consumer", "consumer.py",
               "the consumer that the former needs"),
    PrivateUse("faust.transport.consumer:ThreadDelegateConsumer", "_thread", "consumer.py",
               "where the consumer of the former runs"),
    PrivateUse("aiokafka.consumer.consumer:AIOKafkaConsumer", "_fetch_max_wait_ms", "consumer.py",
               "the attribute that holds it before the consumer starts"),
    PrivateUse("aiokafka.consumer.consumer:AIOKafkaConsumer", "_fetcher", "consumer.py",
               "what sends the fetches that are paced"),
    PrivateUse("aiokafka.consumer.fetcher:Fetcher", "_fetch_min_bytes", "consumer.py",
               "fetches gather events while these are frequent"),
    PrivateUse("aiokafka.consumer.fetcher:Fetcher", "_fetch_max_wait_ms", "consumer.py",
               "the same"),
    PrivateUse("aiokafka.consumer.group_coordinator:GroupCoordinator", "_send_req",
               "coordinator.py",
               "an offset fetch's group-level error reads as nothing committed; and which answers "
               "confirm the membership is kept nowhere"),
    PrivateUse("aiokafka.conn:AIOKafkaConnection", "connect", "refusals.py",
               "clients log why a broker refuses them and raise one error for all reasons"),
    PrivateUse("aiokafka.consumer.fetcher:PartitionRecords", "_records", "lenient.py",
               "the batches of a fetch, replaced when they must be parsed again"),
    PrivateUse("aiokafka.consumer.fetcher:PartitionRecords", "_records_iterator", "lenient.py",
               "what the replaced batches come out of"),
    PrivateUse("aiokafka.consumer.fetcher:PartitionRecords", "_unpack_records", "lenient.py",
               "makes the former"),
    PrivateUse("aiokafka.record.default_records:_DefaultRecordBatchPy", "_read_msg", "lenient.py",
               "raises for records that the broker has accepted"),
    PrivateUse("aiokafka.record.default_records:_DefaultRecordBatchPy", "_buffer", "lenient.py",
               "the bytes that the former parses"),
    PrivateUse("aiokafka.record.default_records:_DefaultRecordBatchPy", "_pos", "lenient.py",
               "where it has come to"),
    PrivateUse("aiokafka.record.default_records:_DefaultRecordBatchPy", "_num_records",
               "lenient.py", "tells a batch that was compacted from one with wrong offsets"),
    PrivateUse("aiokafka.record.default_records:_DefaultRecordBatchPy", "_next_record_index",
               "lenient.py", "counts the records, for the offset of each"),
    PrivateUse("faust.streams:Stream", "_on_message_in", "batches.py",
               "tells the sensors of a message in the stream, as the stream's own loop does"),
    PrivateUse("faust.app.base:App", "_fetcher", "recovery.py",
               "starts to fetch when recovery is over, as stock recovery does"),
    PrivateUse("faust.tables.manager:TableManager", "_tables_finalized", "recovery.py",
               "set at the start: no table has to be registered"),
    PrivateUse("faust.tables.manager:TableManager", "_tables_registered", "recovery.py",
               "the subscription waits for it"),
    PrivateUse("faust.tables.manager:TableManager", "_recovery_started", "recovery.py",
               "set at the first assignment, as stock recovery does"),
    PrivateUse("faust.app.base:App", "_consumer", "probe.py",
               "app.consumer creates a consumer on the wrong loop when another thread asks"),
    PrivateUse("mode.services:ServiceBase", "_loop", "probe.py",
               "app.loop creates a loop when a thread without one asks"),
    PrivateUse("mode.threads:ServiceThread", "_thread", "probe.py",
               "whether the consumer's thread lives"),
    PrivateUse("faust.transport.drivers.aiokafka:AIOKafkaConsumerThread", "_consumer", "probe.py",
               "where the group's coordinator is"),
    PrivateUse("aiokafka.consumer.consumer:AIOKafkaConsumer", "_coordinator", "probe.py",
               "the membership in the group, of which nothing public tells"),
    PrivateUse("aiokafka.consumer.group_coordinator:GroupCoordinator", "_coordination_task",
               "probe.py",
               "an exception ends it, and the consumer goes on without a group"),
)  # fmt: skip


def wrong_versions() -> dict[str, str]:
    """What is installed instead of the pinned release, by package."""
    installed = {package: version(package) for package in PINNED}
    return {package: found for package, found in installed.items() if found != PINNED[package]}


def check_versions() -> None:
    """Raise `UserError` when another release than the pinned one is installed."""
    for package, installed in wrong_versions().items():
        raise UserError(
            f"{package} {installed} is installed, but the streaming layer relies on private "
            f"names of {PINNED[package]}: install {package}=={PINNED[package]}"
        )


def missing_names() -> list[PrivateUse]:
    """The private names that the installed packages no longer have on their classes."""
    missing = []
    for use in PRIVATE_USES:
        module, _, owner = use.owner.partition(":")
        cls = getattr(import_module(module), owner)
        names = {name for base in cls.__mro__ for name in (*vars(base), *_annotations(base))}
        if use.name not in names and use.name not in _assigned_names(cls):
            missing.append(use)
    return missing


def _annotations(cls: type) -> dict[str, object]:
    return dict(vars(cls).get("__annotations__", {}))


def _assigned_names(cls: type) -> set[str]:
    """Names stored on `self` by the constructors of a class."""
    return {
        name
        for base in cls.__mro__
        for method in (vars(base).get("__init__"),)
        if hasattr(method, "__code__")
        for name in method.__code__.co_names  # type: ignore[union-attr]
    }
