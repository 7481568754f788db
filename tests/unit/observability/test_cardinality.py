"""Whatever users, items, operators and strangers send, the number of series stays bounded."""

from __future__ import annotations

import pytest
from counted import Counted, records
from prometheus_client import CollectorRegistry

import schemas
from schemas import Arm, Click, ExperimentSpec, Item, RecommendationRequest, Rule, Scenario
from stream_app.observability.control import MOST_ARMS, ControlMetrics
from stream_app.rules.book import MAX_RULES

USERS, BATCH = 100_000, 2_000
ITEMS = 400
# What every user id, item id and message here contains.
PRIVATE = "visible-to-nobody"
HOSTILE = f'{PRIVATE}"}} 1\nstream_app_ready 7\n# \\ \x00 \u202e'


def clicks(worker: Counted, users: range) -> list[tuple[bytes, bytes]]:
    ids = worker.recommender.bundle.catalog.ids
    made = []
    for user in users:
        item = ids[user % len(ids)] if user % 5 else f"{PRIVATE}-item-{user}"
        name = f"{PRIVATE}-{user}"
        made.append((name.encode(), schemas.encode(Click(user_id=name, item_id=item,
                     timestamp_ms=1, session_id=f"{PRIVATE}-{user}"))))  # fmt: skip
    return made


def rejected(first: int) -> list[tuple[bytes | None, bytes | None]]:
    """Records that become dead letters, each for a reason in other words."""
    name = f"{HOSTILE}{first}"
    click = Click(user_id=name, item_id=name, timestamp_ms=1 << 50)
    return [
        (name.encode(), name.encode()),
        (b"other", schemas.encode(click)),
        (name.encode(), schemas.encode(click)),
        (None, b'{"user_id": 1}'),
        (b"\xff", None),
    ]


def asked(first: int) -> list[tuple[bytes, bytes]]:
    """Requests for scenarios that nobody knows, and one past its deadline."""
    made = []
    for number in range(first, first + 5):
        request = RecommendationRequest(
            request_id=f"{PRIVATE}-{number}",
            user_id=f"{PRIVATE}-{number}",
            scenario=f"{PRIVATE}-{number}",
            query=PRIVATE,
            exclude=(f"{PRIVATE}-{number}",),
            deadline_ms=1 if number == first else None,
        )
        made.append((request.user_id.encode(), schemas.encode(request)))
    return made


def put_experiment(worker: Counted, number: int) -> None:
    """Another one each time, in place of the one before."""
    experiments = worker.recommender.treatments.experiments
    experiments.put(f"page-{number - 1}", None)
    arms = Arm(name="a", share=0.5), Arm(name="b", share=0.5)
    spec = ExperimentSpec(name=f"page-{number}", arms=arms, share=0.1)
    experiments.put(spec.name, spec)


def put_rule(worker: Counted, number: int) -> None:
    """Another one each time; three are in force."""
    rules = worker.recommender.treatments.rules
    new, old = (f'rule {n} "\n{{}}' for n in (number, number - 3))
    rules.put(new, Rule(rule_id=new, items="true", boost=0.1))
    rules.put(old, None)
    while rules.work():
        pass


def flow(worker: Counted, users: range) -> None:
    """Clicks of users never seen before, and every kind of trouble."""
    number = users.start // BATCH
    put_experiment(worker, number)
    put_rule(worker, number)
    item = Item(item_id=f"{PRIVATE}-{number}", title=PRIVATE)
    worker.recommender.catalogue.apply([(item.item_id, item)])
    scenario = Scenario(name=f"page-{number}", filters=("no such filter",))
    worker.recommender.treatments.scenarios.put(scenario.name, scenario)
    worker.handle(records(clicks(worker, users)))
    worker.handle(records(rejected(users.start), first=users.stop))
    worker.handle(records(asked(users.start), "recommendation-requests"))
    worker.forget_rows()
    worker.look()


def series(worker: Counted) -> dict[str, int]:
    """The number of series by metric, without those of experiments."""
    found = {name: len(one.samples) for name, one in worker.families().items()}
    del found["stream_app_experiment_lists"]
    return found


@pytest.fixture(scope="module")
def worker() -> Counted:
    """Has seen as many users as it takes for every series to be there."""
    counted = Counted(ITEMS)
    for start in range(0, 4 * BATCH, BATCH):
        flow(counted, range(start, start + BATCH))
    return counted


def test_the_number_of_series_does_not_grow_with_users_items_and_operators(worker: Counted) -> None:
    before = series(worker)
    for start in range(4 * BATCH, USERS, BATCH):
        flow(worker, range(start, start + BATCH))
    assert series(worker) == before
    assert sum(before.values()) < 400


def test_no_series_shows_a_user_an_item_or_a_message(worker: Counted) -> None:
    shown = worker.exposition()
    assert PRIVATE not in shown
    assert not [item for item in worker.recommender.bundle.catalog.ids if f'"{item}"' in shown]
    assert worker.value("stream_app_ready") == 1, "nobody writes a line of their own"


def test_arms_of_experiments_of_long_ago_are_forgotten() -> None:
    registry = CollectorRegistry()
    control = ControlMetrics(registry)
    for number in range(MOST_ARMS + 100):
        control.arms({("runs on", "a"): 1, (f"page-{number}", "b"): 2})

    def lists(experiment: str, arm: str) -> float | None:
        labels = {"experiment": experiment, "arm": arm}
        return registry.get_sample_value("stream_app_experiment_lists_total", labels)

    assert lists("runs on", "a") == MOST_ARMS + 100
    assert lists(f"page-{MOST_ARMS + 99}", "b") == 2
    assert lists("page-0", "b") is None
    (family,) = (one for one in registry.collect() if one.name == "stream_app_experiment_lists")
    assert len(family.samples) == MOST_ARMS


def test_only_rules_in_force_have_series() -> None:
    worker = Counted(ITEMS)
    for number in range(2 * MAX_RULES):
        put_rule(worker, number)
    worker.handle(records(clicks(worker, range(10))))
    found = worker.families()["stream_app_rule_lists"].samples
    assert [one.value for one in found] == [10, 10, 10]
