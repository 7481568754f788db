"""Faults that `doctor` must find: each is planted for a block, with what is found and the cure."""

from __future__ import annotations

import asyncio
import resource
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from stream_app.demo.session import free_port
from stream_app.settings import Settings
from stream_app.streaming import topics
from tests.integration.conftest import BUNDLE
from tests.integration.topics import wait_for

PARTITIONS = 2
HOUR_MS = 60 * 60 * 1000

Plant = Callable[[Settings, Path], AbstractContextManager[Settings]]
"""Given an installation and a folder: what a worker would be started with."""


@contextmanager
def configured(settings: Settings, topic: str, name: str, value: str) -> Iterator[Settings]:
    """A topic with another setting, for the block."""
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    wanted = {spec.name: spec.configs for spec in topics.specs(settings, 1)}[topic]

    def alter(operation: AlterConfigOpType, to: str | None) -> None:
        entry = ConfigEntry(name, to, incremental_operation=operation)
        resource_ = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        for future in admin.incremental_alter_configs([resource_]).values():
            future.result(30)

    alter(AlterConfigOpType.SET, value)
    try:
        yield settings
    finally:
        if name in wanted:
            alter(AlterConfigOpType.SET, wanted[name])
        else:
            alter(AlterConfigOpType.DELETE, None)


@contextmanager
def deleted(settings: Settings, topic: str) -> Iterator[Settings]:
    async def delete() -> None:
        async with topics.admin_client(settings) as admin:
            await admin.delete_topics([topic])

    asyncio.run(delete())
    yield settings
    asyncio.run(topics.create(settings, PARTITIONS, replication=1))


@contextmanager
def unequal(settings: Settings) -> Iterator[Settings]:
    """A state topic that was made with more partitions than the others have."""
    other = replace(settings, app_id="idle-other")
    asyncio.run(topics.create(other, PARTITIONS + 1, replication=1))
    yield other


@contextmanager
def damaged(settings: Settings, folder: Path) -> Iterator[Settings]:
    shutil.copytree(BUNDLE, folder / "bundle")
    graph = folder / "bundle" / "step.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    yield replace(settings, bundle=str(folder / "bundle"))


@contextmanager
def other_version(settings: Settings, folder: Path) -> Iterator[Settings]:
    """Metadata of another release of aiokafka, found before the true one."""
    about = folder / "aiokafka-0.13.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: aiokafka\nVersion: 0.13.0\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield settings


@contextmanager
def no_directory(settings: Settings, folder: Path) -> Iterator[Settings]:
    (folder / "file").write_text("")
    yield replace(settings, state_store="rocksdb", state_dir=str(folder / "file" / "state"))


@contextmanager
def taken_port(settings: Settings) -> Iterator[Settings]:
    with closing(socket.create_server(("127.0.0.1", settings.metrics_port))):
        yield settings


@contextmanager
def few_files(settings: Settings) -> Iterator[Settings]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    yield settings
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def stranger(settings: Settings) -> Iterator[Settings]:
    """Another application that has taken the name of the group."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "group.id": settings.app_id,
            "client.id": "billing",
        }
    )
    consumer.subscribe([f"{settings.topic_prefix}items"])
    wait_for(lambda: consumer.poll(0.1) is None and bool(consumer.assignment()), "the stranger")
    yield settings
    consumer.close()


@contextmanager
def nobody_there(settings: Settings) -> Iterator[Settings]:
    yield replace(settings, bootstrap_servers=f"127.0.0.1:{free_port()}")


FAULTS: dict[str, tuple[str, str, str, Plant]] = {
    "missing topic": (
        "topics", "topics are missing: idle.rules",
        "stream-app topics create --bootstrap-servers {servers} --app-id idle --topic-prefix idle. "
        "--partitions 2 --replication 1",
        lambda settings, _: deleted(settings, "idle.rules"),
    ),
    "unequal partitions": (
        "partitions", "idle-other-users-changelog has 3 partitions, the other",
        "kafka-topics.sh --bootstrap-server {servers} --delete --topic idle-other-users-changelog "
        "&& stream-app topics create",
        lambda settings, _: unequal(settings),
    ),
    "changelog not compacted": (
        "topic-settings", "idle-users-changelog: cleanup.policy is delete",
        "kafka-configs.sh --bootstrap-server {servers} --alter --entity-type topics --entity-name "
        "idle-users-changelog --add-config cleanup.policy=compact",
        lambda settings, _: configured(
            settings, "idle-users-changelog", "cleanup.policy", "delete"
        ),
    ),
    "rules not compacted": (
        "topic-settings", "idle.rules: cleanup.policy is delete instead of compact",
        "--entity-name idle.rules --add-config cleanup.policy=compact",
        lambda settings, _: configured(settings, "idle.rules", "cleanup.policy", "delete"),
    ),
    "source retention too short": (
        "topic-settings", "idle.clicks: retention.ms is 3600000, less than a day",
        "--entity-name idle.clicks --add-config retention.ms=604800000",
        lambda settings, _: configured(settings, "idle.clicks", "retention.ms", str(HOUR_MS)),
    ),
    "message size too small": (
        "message-size", "idle.dead-letters: max.message.bytes is 100000",
        "--entity-name idle.dead-letters --add-config max.message.bytes=1048588",
        lambda settings, _: configured(
            settings, "idle.dead-letters", "max.message.bytes", "100000"
        ),
    ),
    "too few copies in sync": (
        "replication", "fewer copies in sync than min.insync.replicas (2)",
        "kafka-topics.sh --bootstrap-server {servers} --describe --topic idle.clicks",
        lambda settings, _: configured(settings, "idle.clicks", "min.insync.replicas", "2"),
    ),
    "damaged bundle": (
        "bundle", "step.onnx", "stream-app bundle verify {bundle}", damaged,
    ),
    "another client version": (
        "versions", "aiokafka 0.13.0 is installed instead of 0.14.0",
        "-m pip install aiokafka==0.14.0", other_version,
    ),
    "state directory not writable": (
        "state-directory", "file is no directory", "install -d -m 700", no_directory,
    ),
    "port taken": (
        "port", "cannot be opened", "ss -ltnp 'sport = :{port}'",
        lambda settings, _: taken_port(settings),
    ),
    "few open files": (
        "open-files", "a process may open 512 files", "ulimit -n 1024",
        lambda settings, _: few_files(settings),
    ),
    "group of another application": (
        "group", "members of the group idle read other topics: billing at 127.0.0.1",
        "kafka-consumer-groups.sh --bootstrap-server {servers} --describe --group idle",
        lambda settings, _: stranger(settings),
    ),
    "broker unreachable": (
        "brokers", "no Kafka broker answers at {servers}",
        "kafka-broker-api-versions.sh --bootstrap-server {servers}",
        lambda settings, _: nobody_there(settings),
    ),
}  # fmt: skip
"""Check, part of what is found, part of the command that mends it, and how it is planted."""
