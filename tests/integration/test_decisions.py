"""A past list made again from the topics and the bundle, on a real Kafka."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from schemas import Click, Purchase, RecommendationRequest
from stream_app.cli.replay_decision import command
from stream_app.errors import UserError
from tests.integration.conftest import BUNDLE
from tests.integration.topics import ask, lists, send, wait_for

NOW = 1_700_000_000_000


def test_every_list_of_a_worker_is_made_again_to_the_bit(settings, start_worker) -> None:
    kept = replace(settings, decisions=1.0)
    start_worker(kept).wait_until_ready()
    users = ("ann", "bob", "cid")
    for round_, item in enumerate(("260", "1196", "318", "1", "50")):
        events = [
            (Purchase if user == "cid" else Click)(
                user_id=user, item_id=item, timestamp_ms=NOW + round_
            )
            for user in users
        ]
        send(settings, events)
        wait_for(
            lambda seen=round_: (
                dict.fromkeys(users, 0).keys()
                <= {m.user_id for m in lists(settings) if len(m.applied) and seen_of(m) >= seen}
            ),
            "lists",
        )
    ask(settings, RecommendationRequest(user_id="ann", request_id="q", k=25))
    wait_for(lambda: any(made.request_id for made in lists(settings)), "an answer")
    runner = CliRunner(env=kept.environment() | {"STREAM_APP_BUNDLE": str(BUNDLE)})
    for made in lists(settings):
        result = runner.invoke(command, [made.rec_id, "--json", "--user", made.user_id],
                               catch_exceptions=False)  # fmt: skip
        assert result.exit_code == 0, result.output
        found = json.loads(result.output)
        assert found["same"] is True
        assert found["row_problem"] is None
        assert [item["item_id"] for item in found["items"]] == [i.item_id for i in made.items]
    text = runner.invoke(command, [lists(settings)[-1].rec_id], catch_exceptions=False).output
    assert "the same to the bit" in text
    with pytest.raises(UserError, match="no decision of list 'nothing'"):
        runner.invoke(command, ["nothing"], catch_exceptions=False)


def seen_of(made) -> int:
    """Which round the event of a list was of."""
    return made.trigger.timestamp_ms - NOW if made.trigger else -1
