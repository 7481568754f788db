"""Logs that name nobody, and a trace from a producer through Kafka and a worker to a list."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from schemas import Click, ErasureRequest, Impression, Profile, RecommendationRequest
from stream_app.broker import EmbeddedKafka
from stream_app.demo.session import free_port
from stream_app.settings import Settings
from stream_app.streaming import topics
from stream_app.streaming.clients import event_sender
from stream_app.streaming.exits import ExitCode
from tests.integration.collector import Collector, attributes, collector
from tests.integration.shop import NOW, small_shop
from tests.integration.topics import dead_letters, lists, read, receipts, send, send_raw, wait_for
from tests.integration.worker import WorkerProcess

SOON = {"OTEL_BSP_SCHEDULE_DELAY": "100"}
"""Milliseconds that spans wait to be sent."""

USER, STRANGER, TEXT = "zelda-unmistakable", "quentin-unmistakable", "velociraptors-unmistakable"
UNMISTAKABLE = "unmistakable"

NAME_THE_USER = """
from agents.engine import Engine

def failing(self, records, *others):
    try:
        {}[records[0].key.decode()]
    except KeyError as error:
        raise RuntimeError(f"no row of {error}") from error

Engine.work = failing
"""


class World(NamedTuple):
    """A shop with a worker that traces and logs all it can."""

    settings: Settings
    worker: WorkerProcess
    spans: Collector


@pytest.fixture(scope="module")
def shop(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Topics and a release; every worker has a group of its own."""
    settings = Settings(
        bootstrap_servers=kafka.bootstrap,
        topic_prefix="traced.",
        app_id="traced",
        metrics_port=free_port(),
        session_timeout_s=6,
        log_level="debug",
        log_format="json",
    )
    asyncio.run(topics.create(settings, 1, replication=1))
    return small_shop(settings, tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def world(shop: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with collector() as spans:
        settings = replace(shop, trace_endpoint=spans.endpoint)
        log = tmp_path_factory.mktemp("worker") / "log"
        worker = WorkerProcess(settings, log, SOON)
        try:
            yield World(settings, worker.wait_until_ready(), spans)
        finally:
            worker.kill()


def new_trace() -> tuple[str, str]:
    """Ids of a trace and of a span in it, hex."""
    return secrets.token_hex(16), secrets.token_hex(8)


def produce(settings: Settings, user: str, **environment: str) -> None:
    event = {"user_id": user, "item_id": "item-3", "timestamp_ms": NOW}
    subprocess.run(
        [sys.executable, "-m", "stream_app", "produce"],
        env={**os.environ, **settings.environment(), **environment},
        input=json.dumps(event), text=True, check=True, timeout=60,
    )  # fmt: skip


def click(settings: Settings, *users: str) -> None:
    """The same from within this process, so without traces of its own."""
    untraced = replace(settings, trace_endpoint="")
    send(untraced, [Click(user_id=user, item_id="item-3", timestamp_ms=NOW) for user in users])


def headers_of_list(settings: Settings, user: str) -> dict[str, str]:
    """Headers of the only list of a user."""
    found = [one for one in read(settings, "recommendations") if one.key == user.encode()]
    assert len(found) == 1
    return {name: value.decode() for name, value in found[0].headers}


def has_list(settings: Settings, user: str) -> Callable[[], bool]:
    return lambda: any(made.user_id == user for made in lists(settings))


def test_a_trace_goes_from_the_producer_to_the_list(world: World) -> None:
    settings, _, spans = world
    trace_id, caller = new_trace()
    produce(settings, USER, TRACEPARENT=f"00-{trace_id}-{caller}-01")
    wait_for(has_list(settings, USER), "the list")
    wait_for(lambda: len(spans.spans(trace_id)) == 2, "both spans of the trace")
    (sent,) = spans.named("send traced.clicks", trace_id)
    (created,) = spans.named("create traced.recommendations", trace_id)
    assert sent.parent_span_id.hex() == caller
    assert created.parent_span_id == sent.span_id
    carried = headers_of_list(settings, USER)
    assert carried == {"traceparent": f"00-{trace_id}-{created.span_id.hex()}-01"}

    (batch,) = [one for one in spans.named("process traced.clicks") if one.links]
    assert [link.span_id for link in batch.links] == [sent.span_id]
    assert [link.span_id for link in created.links] == [batch.span_id]
    assert not batch.parent_span_id
    assert batch.trace_id.hex() != trace_id
    assert (
        attributes(batch.links[0])["messaging.kafka.offset"]
        == attributes(sent)["messaging.kafka.offset"]
    )
    about = attributes(batch)
    assert (about["messaging.consumer.group.name"], about["messaging.batch.message_count"]) == (
        "traced",
        1,
    )
    stages = [one for one in spans.spans(batch.trace_id.hex()) if one.name != batch.name]
    assert {"decode", "apply", "encode", "retrieve", "rank", "publish"} <= {
        one.name for one in stages
    }
    for one in stages:
        assert one.parent_span_id == batch.span_id
        assert one.start_time_unix_nano <= one.end_time_unix_nano <= batch.end_time_unix_nano
    (made,) = [made for made in lists(settings) if made.user_id == USER]
    assert attributes(created)["messaging.message.id"] == made.rec_id
    assert spans.services() == {"stream-app-produce", "stream-app-worker"}


def test_what_is_not_sampled_is_passed_on_and_not_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, _, spans = world
    trace_id, caller = new_trace()
    parent = f"00-{trace_id}-{caller}-00"
    monkeypatch.setenv("TRACEPARENT", parent)
    send(settings, [Click(user_id="unsampled", item_id="item-3", timestamp_ms=NOW)])
    click(settings, "untraced")
    wait_for(has_list(settings, "untraced"), "the list")
    assert headers_of_list(settings, "unsampled") == {"traceparent": parent}
    assert headers_of_list(settings, "untraced") == {}
    assert spans.spans(trace_id) == []


def test_a_request_over_http_is_part_of_the_callers_trace(world: World) -> None:
    settings, _, spans = world
    trace_id, caller = new_trace()
    gateway = subprocess.Popen(
        [sys.executable, "-m", "stream_app", "gateway", "--port", "0"],
        env={**os.environ, **settings.environment(), **SOON},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert gateway.stdout is not None
        address = gateway.stdout.readline().split()[1]
        request = urllib.request.Request(
            f"{address}/v1/users/{STRANGER}/recommendations?timeout_ms=20000",
            headers={"traceparent": f"00-{trace_id}-{caller}-01", "tracestate": "vendor=here"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.status == 200
        wait_for(lambda: len(spans.spans(trace_id)) == 3, "the spans of the trace")
    finally:
        gateway.terminate()
        _, logged = gateway.communicate(timeout=30)
    (served,) = spans.named("GET /v1/users/{user_id}/recommendations", trace_id)
    (sent,) = spans.named("send traced.recommendation-requests", trace_id)
    (created,) = spans.named("create traced.recommendations", trace_id)
    assert served.parent_span_id.hex() == caller
    assert sent.parent_span_id == served.span_id
    assert created.parent_span_id == sent.span_id
    assert attributes(served)["http.response.status_code"] == 200
    assert headers_of_list(settings, STRANGER)["tracestate"] == "vendor=here"
    assert UNMISTAKABLE not in logged


def test_no_line_and_no_span_names_a_user(world: World) -> None:
    """Everything that a worker reads, the right and the wrong, at level debug."""
    settings, worker, spans = world
    before = len(lists(settings))

    async def everything() -> None:
        said = Profile(user_id=USER, text=TEXT, attributes={"seen": TEXT})
        async with event_sender(replace(settings, trace_endpoint="")) as sender:
            for event in (
                Click(user_id=USER, item_id=f"{TEXT}-item", timestamp_ms=NOW, session_id=TEXT),
                Impression(user_id=USER, rec_id=TEXT, item_ids=("item-1",), timestamp_ms=NOW),
            ):
                await (await sender.send(event))
            await (await sender.send_profile(USER, said))
            asked = RecommendationRequest(user_id=USER, request_id=TEXT, query=TEXT, explain=True)
            await (await sender.ask(asked))
            await (await sender.erase(ErasureRequest(user_id=USER, request_id=TEXT)))

    asyncio.run(everything())
    key = USER.encode()
    bad = {"user_id": STRANGER, "item_id": "item-1", "timestamp_ms": TEXT, TEXT: 1}
    wrong = [b"{" + TEXT.encode(), b"\xc1" + TEXT.encode(), json.dumps(bad).encode(), None]
    names = ("clicks", "purchases", "profiles", "recommendation-requests", "erasures", "items")
    for topic in names:
        send_raw(settings, f"traced.{topic}", [(key, value) for value in wrong])
    wait_for(lambda: len(dead_letters(settings)) >= 3 * len(names), "the dead letters")
    wait_for(lambda: len(receipts(settings)) > 0, "the receipt")
    click(settings, USER)
    wait_for(lambda: len(lists(settings)) > before + 1, "lists")

    lines = [json.loads(line) for line in worker.output.splitlines()]
    assert UNMISTAKABLE not in worker.output
    assert UNMISTAKABLE not in "".join(map(str, spans.requests))
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]), line
        assert line["level"] in ("debug", "info", "warning", "error"), line
        assert (line["app_id"], bool(line["logger"])) == ("traced", True), line
    batches = [line for line in lines if line["logger"] == "agents.batch_log"]
    assert all(line["release"] == lines[-1]["release"] for line in batches)
    logged = {one["rec_id"]: one for line in batches for one in line["lists"]}
    made = {one.rec_id: one.trigger for one in lists(settings)}
    assert made.keys() <= logged.keys()
    for rec_id, trigger in made.items():
        if trigger is not None:
            place = (trigger.topic, trigger.partition, trigger.offset)
            assert tuple(logged[rec_id][name] for name in ("topic", "partition", "offset")) == place
    assert any("trace_id" in line for line in batches)


def test_a_collector_that_is_away_neither_slows_nor_stops_a_worker(
    shop: Settings, start_worker: Callable[..., WorkerProcess]
) -> None:
    settings = replace(
        shop, app_id="away", topic_prefix="away.", log_format="text",
        trace_endpoint=f"http://127.0.0.1:{free_port()}", trace_sample=1.0,
        metrics_port=free_port(),
    )  # fmt: skip
    asyncio.run(topics.create(settings, 1, replication=1))
    worker = start_worker(settings, **SOON).wait_until_ready()
    for number in range(3):
        click(settings, f"{USER}-{number}")
        wait_for(has_list(settings, f"{USER}-{number}"), "the list")
    carried = headers_of_list(settings, f"{USER}-0")["traceparent"]
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]", carried)
    wait_for(lambda: "takes no spans" in worker.output, "the line about the collector")
    click(settings, f"{USER}-3")
    wait_for(has_list(settings, f"{USER}-3"), "a list after that")
    assert worker.terminate() == 0
    assert worker.output.count("takes no spans") == 1
    assert UNMISTAKABLE not in worker.output
    assert "DEBUG" in worker.output


def test_what_dies_says_so_in_json_and_without_the_user(
    shop: Settings, start_worker: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    settings = replace(shop, app_id="dying", topic_prefix="dying.", metrics_port=free_port())
    asyncio.run(topics.create(settings, 1, replication=1))
    (tmp_path / "sitecustomize.py").write_text(NAME_THE_USER)
    path = os.pathsep.join((str(tmp_path), str(Path(__file__).parents[2])))
    worker = start_worker(settings, PYTHONPATH=path).wait_until_ready()
    click(settings, USER)
    assert worker.wait() == ExitCode.PROCESSING
    lines: list[dict[str, Any]] = [json.loads(line) for line in worker.output.splitlines()]
    last = lines[-1]
    assert (last["level"], last["exit_code"], last["error_type"]) == (
        "critical",
        70,
        "RuntimeError",
    )
    assert last["message"].startswith("a batch could not be handled: RuntimeError (text left out")
    assert "KeyError" in last["stack"]
    assert "sitecustomize.py" in last["stack"]
    assert UNMISTAKABLE not in worker.output
