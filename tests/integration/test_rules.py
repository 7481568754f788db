"""Rules change lists while a worker runs, on a real Kafka."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner

from schemas import Click, Item, Recommendation, RuleTrace
from stream_app.cli import explain
from stream_app.cli.rules import command
from tests.integration.shop import catalogue, figure, say
from tests.integration.topics import lists, send, send_raw, wait_for

NOW = 1_700_000_000_000
DRAMAS = ("858", "593", "296", "527", "2858")


def test_rules_hold_within_moments_a_bad_one_changes_nothing_and_withdrawal_restores(
    settings, start_worker, tmp_path: Path
) -> None:
    settings = replace(settings, filters="")

    def run(*arguments: str, fails: bool = False) -> str:
        runner = CliRunner(env=settings.environment())
        result = runner.invoke(command, arguments)
        assert (result.exit_code != 0) == fails, result.output
        return str(result.exception) if fails else result.output

    def put(fails: bool = False, **fields) -> str:
        file = tmp_path / "rule.json"
        file.write_text(json.dumps(fields))
        return run("put", str(file), fails=fails)

    def control(name: str, count: int) -> None:
        metric = f'stream_app_control_{name}{{topic="rules"}}'
        wait_for(lambda: figure(worker, metric) == count, f"{name} to be {count}")

    def shown() -> Recommendation:
        before = len(lists(settings))
        send(settings, [Click(user_id="ann", item_id="260", timestamp_ms=NOW)])
        wait_for(lambda: len(lists(settings)) == before + 1, "a list")
        return max(lists(settings), key=lambda made: made.generated_at_ms)

    def ids(made: Recommendation) -> list[str]:
        return [item.item_id for item in made.items]

    worker = start_worker(settings).wait_until_ready()
    plain = shown()
    first = ids(plain)[0]
    assert plain.rules == ()
    say(settings, *((item, Item(item_id=item, categories=("Drama",))) for item in DRAMAS))
    wait_for(lambda: catalogue(worker, "listed") == len(DRAMAS), "the dramas")

    put(rule_id="no", items=f"item.item_id == '{first}'", exclude=True)
    put(rule_id="hero", items="item.item_id == '7361'", pin=2)
    put(rule_id="more", items="'Drama' in item.categories", boost=15.0)
    control("in_force", 3)
    made = shown()
    assert first not in ids(made)
    assert ids(made)[1] == "7361"
    dramas = set(ids(made)) & set(DRAMAS)
    assert dramas
    assert set(ids(made)[: len(dramas) + 1]) == dramas | {"7361"}
    assert RuleTrace("hero", "pin", (2,)) in made.rules
    assert RuleTrace("no", "exclude") in made.rules

    said = put(fails=True, rule_id="no", items="item.prise < 1.0", exclude=True)
    assert "rule no: items: line 1, column 5: undeclared reference to 'item.prise'" in said
    bad = json.dumps({"rule_id": "no", "items": "item.prise < 1.0", "exclude": True}).encode()
    send_raw(settings, settings.topic_prefix + "rules", [(b"no", bad), (b"no", b"{")])
    control("refused", 2)
    assert "rule 'no' is refused, what was said of it before holds: items: line 1" in worker.output
    control("in_force", 3)
    assert ids(shown()) == ids(made)

    runner = CliRunner(env=settings.environment())
    why = runner.invoke(explain.command, ["--user", "ann"], catch_exceptions=False).output
    assert "rule hero: pin 2, about 1 items" in why
    assert "rules about it: hero (pin 2)" in why

    listing = run("list")
    assert '"rule_id":"hero"' in listing
    assert "refused by workers" in listing
    run("withdraw", "no", "hero", "more")
    control("in_force", 0)
    restored = shown()
    assert ids(restored)[0] == first
    assert restored.rules == ()

    put(rule_id="more", items="'Drama' in item.categories", exclude=True)
    control("in_force", 1)
    assert worker.terminate() == 0
    worker = start_worker(settings).wait_until_ready()
    again = shown()  # a worker that is ready knows the rules and what they are about
    assert not set(ids(again)) & set(DRAMAS)
    assert again.rules == (RuleTrace("more", "exclude"),)
