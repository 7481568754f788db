"""The demo streams what the bundle has not seen, in time order, after the past of its users."""

from pathlib import Path

import pytest

from schemas import Click, Purchase
from stream_app.demo.scenario import load_scenario
from stream_app.errors import UserError


def write_ratings(directory: Path, rows: list[tuple[int, int, float, int]]) -> Path:
    lines = [f"{user},{movie},{rating},{seconds}" for user, movie, rating, seconds in rows]
    (directory / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *lines]))
    (directory / "movies.csv").write_text("movieId,title,genres\n1,One (1999),Drama\n")
    return directory


@pytest.fixture
def data(tmp_path: Path) -> Path:
    trained = [(user, user * 10, 3.0, user) for user in range(1, 9)]
    return write_ratings(tmp_path, [(99, 7, 4.0, 200), (1, 5, 2.0, 100), *trained])


def test_the_last_fifth_is_streamed_in_time_order(data: Path) -> None:
    scenario = load_scenario(data, None)
    assert [(event.user_id, event.item_id) for event in scenario.events] == [
        ("1", "5"),
        ("99", "7"),
    ]
    assert [type(event) for event in scenario.events] == [Click, Purchase]
    assert len(scenario.trained) == 8


def test_only_the_past_of_returning_users_goes_before(data: Path) -> None:
    scenario = load_scenario(data, None)
    assert scenario.returning == {"1"}
    assert [event.item_id for event in scenario.history] == ["10"]


def test_a_limit_cuts_the_stream(data: Path) -> None:
    assert len(load_scenario(data, 1).events) == 1


def test_the_next_item_of_each_event_is_of_the_same_user(tmp_path: Path) -> None:
    trained = [(9, 1, 3.0, 1)] * 16
    rows = [*trained, (1, 5, 3.0, 50), (2, 6, 3.0, 51), (1, 7, 3.0, 52), (1, 8, 3.0, 53)]
    scenario = load_scenario(write_ratings(tmp_path, rows), None)
    assert scenario.next_items == ["7", None, "8", None]


def test_missing_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="ratings"):
        load_scenario(tmp_path, None)
