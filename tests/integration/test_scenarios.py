"""Scenarios change lists while a worker runs, on a real Kafka."""

from __future__ import annotations

import json
from pathlib import Path

from schemas import Click, Item, RecommendationRequest
from stream_app.cli.scenarios import command
from tests.integration.shop import figure, say
from tests.integration.topics import ask, lists, run_command, send, send_raw, wait_for

NOW = 1_700_000_000_000


def test_a_scenario_holds_within_moments_and_until_it_is_withdrawn(
    settings, start_worker, tmp_path: Path
) -> None:
    def run(*arguments: str) -> str:
        return run_command(settings, command, *arguments)

    def in_force(count: int) -> None:
        name = 'stream_app_control_in_force{topic="scenarios"}'
        wait_for(lambda: figure(worker, name) == count, f"{count} scenarios")

    def after_a_click(item_id: str) -> list:
        before = len(lists(settings))
        send(settings, [Click(user_id="ann", item_id=item_id, timestamp_ms=NOW)])
        wait_for(lambda: len(lists(settings)) == before + 1, "a list")
        return list(lists(settings)[-1].items)

    worker = start_worker(settings).wait_until_ready()
    assert {"personal"} & {name for item in after_a_click("318") for name in item.sources}
    trends = tmp_path / "trends.toml"
    trends.write_text('name = "default"\n[sources]\npersonal = 0\ntransitions = 0\n')
    funny = tmp_path / "funny.json"
    funny.write_text(json.dumps({"name": "funny", "categories": ["Comedy"]}))
    assert run("put", str(trends), str(funny)).count("published") == 2
    in_force(2)
    assert {name for item in after_a_click("296") for name in item.sources} == {"trending"}
    assert '"name":"funny"' in run("list").splitlines()[1]

    say(settings, *((item, Item(item_id=item, categories=("Comedy",))) for item in ("1", "2")))
    listed = 'stream_app_catalogue_items{state="listed"}'
    wait_for(lambda: figure(worker, listed) == 2, "two comedies")
    ask(settings, RecommendationRequest(user_id="ann", request_id="q", scenario="funny"))
    wait_for(lambda: any(made.request_id for made in lists(settings)), "an answer")
    (made,) = (made for made in lists(settings) if made.request_id)
    assert {item.item_id for item in made.items} == {"1", "2"}

    bad = [(b"default", b'{"name": "default", "sources": {"magic": 1}}'), (b"default", b"{")]
    send_raw(settings, settings.topic_prefix + "scenarios", bad)
    refused = 'stream_app_control_refused{topic="scenarios"}'
    wait_for(lambda: figure(worker, refused) == 2, "two refusals")
    assert "source 'magic' is unknown" in worker.output
    assert {name for item in after_a_click("593") for name in item.sources} == {"trending"}

    run("withdraw", "default", "funny")
    in_force(0)
    assert "personal" in {name for item in after_a_click("50") for name in item.sources}
