"""What cannot work is refused at the start: one clear line, an exit code, within seconds."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from stream_app.bundle import signature
from stream_app.demo.session import free_port
from stream_app.settings import Settings
from stream_app.streaming import topics
from tests.integration.conftest import BUNDLE
from tests.integration.topics import send_raw

LIMIT_S = 15


def refused(start_worker, settings: Settings, code: int, *words: str, **environment: str) -> None:
    worker = start_worker(settings, **environment)
    assert worker.wait(LIMIT_S) == code, worker.output
    last = worker.output.strip().splitlines()[-1]
    assert last.startswith("stream-app: error: "), worker.output
    for word in words:
        assert word in last
    assert "Traceback" not in worker.output


def test_no_bundle_given(settings, start_worker) -> None:
    refused(start_worker, replace(settings, bundle=""), 2, "--bundle")


def test_a_missing_bundle(settings, start_worker) -> None:
    refused(start_worker, replace(settings, bundle="no/such/bundle"), 2, "no/such/bundle")


def test_a_damaged_bundle(settings, start_worker, tmp_path: Path) -> None:
    damaged = tmp_path / "bundle"
    shutil.copytree(BUNDLE, damaged)
    graph = damaged / "step.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    refused(start_worker, replace(settings, bundle=str(damaged)), 2, "step.onnx", "sha256")


def test_a_bundle_that_is_not_signed(settings, start_worker, tmp_path: Path) -> None:
    signature.write_keys(tmp_path / "release.key", tmp_path / "release.pub")
    public = str(tmp_path / "release.pub")
    refused(start_worker, replace(settings, bundle_public_key=public), 2, "is not signed")


def test_a_wrong_setting(settings, start_worker) -> None:
    refused(start_worker, settings, 2, "STREAM_APP_BATCH_MAX", "many", STREAM_APP_BATCH_MAX="many")


def test_no_broker(settings, start_worker) -> None:
    nobody = replace(settings, bootstrap_servers=f"127.0.0.1:{free_port()}")
    refused(start_worker, nobody, 3, nobody.bootstrap_servers)


def test_missing_topics(settings, start_worker) -> None:
    elsewhere = replace(settings, topic_prefix="nowhere.", app_id="nowhere")
    refused(
        start_worker, elsewhere, 2, "nowhere.clicks", "nowhere-users-changelog",
        "stream-app topics create",
    )  # fmt: skip


def test_unequal_partition_counts(settings, start_worker) -> None:
    unequal = replace(settings, app_id=f"{settings.app_id}-other")
    asyncio.run(topics.create(unequal, 3, replication=1))  # its state topic gets 3, clicks have 4
    refused(start_worker, unequal, 2, "clicks has 4", "changelog has 3")


def test_a_port_that_is_taken(settings, start_worker) -> None:
    first = start_worker(settings).wait_until_ready()
    refused(start_worker, settings, 2, str(settings.metrics_port))
    assert first.process.poll() is None


@pytest.mark.parametrize("record", [(b"ann", b"{}")])
def test_a_topic_that_vanishes_is_no_silent_idleness(settings, start_worker, record) -> None:
    """The check at the start names a topic that was deleted since it was created."""
    send_raw(settings, settings.topic_prefix + "clicks", [record])

    async def delete() -> None:
        async with topics.admin_client(settings) as admin:
            await admin.delete_topics([settings.topic_prefix + "purchases"])

    asyncio.run(delete())
    refused(start_worker, settings, 2, "purchases")
