"""An experiment on a real Kafka: dealt, reported, and an arm that does harm switched off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schemas import Click, Impression, Recommendation, RecommendationRequest
from stream_app.cli.experiment import command
from stream_app.errors import UserError
from stream_app.experiments import Split
from stream_app.experiments.written import parse
from tests.integration.shop import figure
from tests.integration.topics import ask, lists, run_command, send, wait_for

NOW = 1_700_000_000_000
USERS = [f"user-{number}" for number in range(240)]
PAGE = {
    "name": "page",
    "arms": [
        {"name": "as_it_is", "share": 0.5},
        {"name": "held_out", "share": 0.5, "scenario": "popular"},
    ],
}


def dealt() -> dict[str, str]:
    assigned = Split([parse(PAGE, {}, 0)]).assign(USERS)
    return {user: one.own for user, one in zip(USERS, assigned, strict=True) if one}


def feedback(made: Recommendation) -> list[Any]:
    """All of a list is seen; of those of the control every second item is clicked."""
    ids = tuple(item.item_id for item in made.items)
    fields: dict[str, Any] = {"user_id": made.user_id, "rec_id": made.rec_id, "timestamp_ms": NOW}
    assert made.experiment is not None
    clicked = ids[::2] if made.experiment.arm == "as_it_is" else ids[:1]
    return [
        Impression(item_ids=ids, **fields),
        *(Click(item_id=item, action="like", **fields) for item in clicked),
    ]


def test_an_arm_that_does_harm_is_found_and_switched_off(
    settings, start_worker, tmp_path: Path
) -> None:
    def run(*arguments: str) -> str:
        return run_command(settings, command, *arguments)

    def put(**fields: Any) -> str:
        file = tmp_path / "page.json"
        file.write_text(json.dumps(PAGE | fields))
        return run("put", str(file))

    def answers(prefix: str) -> dict[str, Recommendation]:
        """A list for each user, asked for now."""
        ask(settings, *(RecommendationRequest(user_id=u, request_id=prefix + u) for u in USERS))
        found: dict[str, Recommendation] = {}

        def all_there() -> bool:
            for made in lists(settings):
                if made.request_id == prefix + made.user_id:
                    found[made.user_id] = made
            return len(found) == len(USERS)

        wait_for(all_there, "answers")
        return found

    # Before any worker: it has to know the experiment before it makes a list.
    assert put() == (
        "page: running, users 0 to 1, lists of default; as_it_is 50% (control); held_out 50% "
        "(scenario popular)\n"
    )
    with pytest.raises(UserError, match="arm 'b': there is no scenario 'loud'; there is: default"):
        put(arms=[{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5, "scenario": "loud"}])
    worker = start_worker(settings).wait_until_ready()
    send(settings, [Click(user_id=user, item_id="260", timestamp_ms=NOW) for user in USERS])
    wait_for(lambda: {made.user_id for made in lists(settings)} == set(USERS), "lists")
    first = {made.user_id: made for made in lists(settings)}
    arms = {user: made.experiment and made.experiment.arm for user, made in first.items()}
    assert arms == dealt()
    sources = {arm: set() for arm in ("as_it_is", "held_out")}
    for user, made in first.items():
        sources[arms[user]] |= {name for item in made.items for name in item.sources}
    assert sources["held_out"] == {"trending"}
    assert "personal" in sources["as_it_is"]
    counted = 'stream_app_experiment_lists_total{arm="held_out",experiment="page"}'
    assert figure(worker, counted) >= list(arms.values()).count("held_out")

    send(settings, [event for made in first.values() for event in feedback(made)])
    report = json.loads(run("report", "page", "--json"))
    control, held_out = report["arms"]
    assert control["click_rate"]["value"] == pytest.approx(0.5)
    assert held_out["click_rate"]["value"] == pytest.approx(0.1)
    assert held_out["click_difference"]["value"] == pytest.approx(-0.4)
    assert (control["dealt"] + held_out["dealt"], report["moved"]) == (len(USERS), 0)
    assert report["mismatch_p"] > 1e-3
    assert "held_out: too little is known of its click rate." in run("report", "page")

    # All of an arm alike is no variance, and a guard does nothing without one.
    limits = ("--once", "--min-users", "50", "--scale", "0.1")
    assert "too little is known" in run("guard", "page", *limits)
    loyal = [user for user, arm in arms.items() if arm == "held_out"][:9]
    fields = {"rec_id": None, "timestamp_ms": NOW}
    more = [
        Click(**fields | {"user_id": user, "item_id": first[user].items[3].item_id,
                          "rec_id": first[user].rec_id})
        for user in loyal
    ]  # fmt: skip
    send(settings, more)
    assert "held_out: its click rate is lower than that of as_it_is" in run("report", "page")
    harmless = run("guard", "page", *limits, "--below", "-0.5", "--json")
    assert json.loads(harmless)["off"] is False
    assert "held_out: switched off" in run("guard", "page", *limits)
    assert run("guard", "page", *limits) == ""
    assert json.loads(run("list", "--json"))[0]["off"] == ["held_out"]

    def switched() -> bool:
        made = answers("again-")
        return {one.experiment.arm for one in made.values() if one.experiment} == {"as_it_is"}

    wait_for(switched, "the control for everybody")
    assert "(off, scenario popular)" in put(share=0.5)  # changed, and still off
    assert json.loads(run("list", "--json"))[0]["off"] == ["held_out"]
    after = json.loads(run("report", "page", "--json"))
    assert after["moved"] >= 1
    assert after["arms"][0]["users"] < control["users"]  # who is outside now, is not judged

    assert run("end", "page") == "page is ended\n"
    wait_for(lambda: {made.experiment for made in answers("late-").values()} == {None}, "nobody")
    assert run("list").startswith("page: ended")
    run("end", "page", "--forget")
    assert run("list") == "no experiments\n"
