"""What became of lists, from the topics of a real Kafka."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from schemas import (
    Click,
    Impression,
    Purchase,
    RankedItem,
    Recommendation,
    ServingModel,
    encode,
)
from stream_app.cli.attribution import command
from stream_app.errors import UserError
from tests.integration.topics import lists, send, send_raw, wait_for

NOW = 1_700_000_000_000


def run(settings: Any, *arguments: str) -> str:
    result = CliRunner(env=settings.environment()).invoke(
        command, arguments, catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return result.output


def test_clicks_and_purchases_are_joined_to_the_lists_of_a_worker(settings, start_worker) -> None:
    worker = start_worker(settings).wait_until_ready()
    users = [f"user-{number}" for number in range(6)]
    send(settings, [Click(user_id=user, item_id="318", timestamp_ms=NOW) for user in users])
    wait_for(lambda: len(lists(settings)) == 6, "lists")
    feedback: list[Any] = []
    for made in lists(settings):
        ids = tuple(item.item_id for item in made.items[:5])
        fields = {"user_id": made.user_id, "rec_id": made.rec_id, "timestamp_ms": NOW + 1}
        feedback.append(Impression(item_ids=ids, **fields))
        feedback.append(Click(item_id=ids[0], **fields))
    feedback.append(Purchase(item_id=ids[1], **fields))
    send(settings, feedback)
    send_raw(settings, settings.topic_prefix + "impressions", [(b"user-0", b"{}")])
    wait_for(lambda: len(lists(settings)) > 6, "answers to the feedback")
    worker.terminate()
    report = json.loads(run(settings, "--json"))
    rows = {(row["dimension"], row["name"]): row for row in report["rows"]}
    assert report["per"] == "shown"
    assert report["rejected"] == 1
    everything = rows["all", ""]
    assert (everything["shown"], everything["clicked"], everything["bought"]) == (30, 6, 1)
    assert everything["click_rate"]["value"] == pytest.approx(0.2)
    assert rows["rank", "1"]["clicked"] == 6
    assert rows["rank", "2"]["bought"] == 1
    assert rows["rank", "6"]["shown"] == 0
    assert report["unmatched"] == {"no rec_id": 6}
    text = run(settings)
    assert "rates per item shown" in text
    assert "not joined, no rec_id: 6" in text


def test_lists_of_another_time_are_left_out(settings) -> None:
    assert run(settings, "--since", "1h", "--until", "30m").startswith("0 lists of 0 users")
    with pytest.raises(UserError, match="--since 1h is not before --until 2h"):
        CliRunner(env=settings.environment()).invoke(
            command, ["--since", "1h", "--until", "2h"], catch_exceptions=False
        )


def test_places_left_to_chance_judge_lists_that_nobody_was_shown(settings, tmp_path: Path) -> None:
    """A tenth of the lists have a drawn item; it is clicked always, the usual one never."""
    model = ServingModel("shop", "1", "onnxruntime-cpu")
    records, feedback = [], []
    for number in range(40):
        user, drawn = f"user-{number}", number % 10 == 0
        item = RankedItem("new" if drawn else "old", 1.0, 1, propensity=0.1 if drawn else 0.9)
        made = Recommendation(
            rec_id=f"r{number}", user_id=user, items=(item,), model=model, generated_at_ms=NOW
        )
        records.append((user.encode(), encode(made)))
        fields: dict[str, Any] = {"user_id": user, "rec_id": made.rec_id, "timestamp_ms": NOW}
        feedback.append(Impression(item_ids=(item.item_id,), **fields))
        if drawn:
            feedback.append(Click(item_id="new", **fields))
    send_raw(settings, settings.topic_prefix + "recommendations", records)
    send(settings, feedback)
    plain = json.loads(run(settings, "--off-policy", "--json"))["off_policy"]
    assert (plain["places"], plain["users"], plain["per"]) == (40, 40, "shown")
    assert plain["click"]["logged"]["value"] == pytest.approx(0.1)
    assert plain["click"]["snips"]["value"] == 0.0
    target = tmp_path / "new.jsonl"
    wanted = [{"rec_id": f"r{n}", "items": [{"item_id": "new", "rank": 1}]} for n in range(40)]
    target.write_text("\n".join(map(json.dumps, wanted)))
    judged = json.loads(run(settings, "--target", str(target), "--json"))["off_policy"]
    assert judged["click"]["ips"]["value"] == pytest.approx(1.0)
    assert judged["click"]["snips"]["value"] == pytest.approx(1.0)
    text = run(settings, "--target", str(target), "--clip", "5")
    assert "off-policy, lists of new.jsonl: 40 places shown of 40 users" in text
    assert "4 clipped at 5" in text
    target.write_text("{}")
    with pytest.raises(UserError, match=r"new\.jsonl: line 1 is no list"):
        run(settings, "--target", str(target))
