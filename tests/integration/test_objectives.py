"""What operators choose reaches the lists of a worker on a real Kafka."""

from __future__ import annotations

from dataclasses import replace

from schemas import Click, RecommendationRequest
from stream_app.recommender import Recommender
from tests.integration.topics import ask, lists, send, wait_for

NOW = 1_700_000_000_000


def test_a_worker_makes_the_lists_that_its_settings_ask_for(settings, start_worker) -> None:
    chosen = replace(settings, diversity=8.0, popularity_discount=0.2)
    start_worker(chosen).wait_until_ready()
    click = Click(user_id="ann", item_id="260", timestamp_ms=NOW)
    send(settings, [click])
    wait_for(lambda: len(lists(settings)) == 1, "a list")
    ask(settings, RecommendationRequest(user_id="ann", request_id="r1", k=25))
    wait_for(lambda: len(lists(settings)) == 2, "an answer")
    after, asked = ([item.item_id for item in made.items] for made in lists(settings))
    plain, expected = (
        Recommender.load(settings.bundle, plan=one.plan) for one in (settings, chosen)
    )
    assert after == [item.item_id for item in expected.recommend([click])[0].items]
    assert after != [item.item_id for item in plain.recommend([click])[0].items]
    assert len(set(asked)) == 25
    assert asked[0] == after[0]
