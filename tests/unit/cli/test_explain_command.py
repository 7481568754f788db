"""`stream-app explain`: what it refuses before it asks Kafka, and what it says of what it found."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from schemas import Recommendation
from schemas.messages import RankedItem, ServingModel
from stream_app.cli import explain
from stream_app.errors import UserError
from stream_app.settings import SettingsError
from stream_app.streaming.user_row import StoredUser
from stream_app.users import SourceEvent, UserState, apply, item_hash

EXAMPLE = Path(__file__).parents[3] / "examples" / "movielens"
BUNDLE, MOVIES = str(EXAMPLE / "bundle"), str(EXAMPLE / "ml-latest-small" / "movies.csv")
NOW = 1_700_000_000_000


def run(*arguments: str) -> Result:
    return CliRunner().invoke(explain.command, ["--user", "ann", *arguments])


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> dict[str, StoredUser]:
    """What the topics hold of a user, under `ann`: the reading itself is tested on a real Kafka."""
    state = UserState()
    for at, item in enumerate(("1", "318", "2571")):
        event = SourceEvent(item_hash(item), NOW + at * 1000, 2, 1, "clicks/0", at)
        state, _ = apply(state, event)
    found = {"ann": StoredUser(state, None)}

    async def read_user(settings: object, user_id: str) -> StoredUser:
        return found[user_id]

    async def nothing_stands(settings: object, recommender: object) -> None:
        pass

    monkeypatch.setattr(explain, "read_user", read_user)
    monkeypatch.setattr(explain, "bring_up_to_date", nothing_stands)
    return found


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        ([], SettingsError, "no bundle given: pass --bundle DIR"),
        (["--bundle", "x", "--user", ""], UserError, "--user has 0 bytes; 1 to 256 are valid"),
        (["--bundle", "x", "--user", "é" * 200], UserError, "--user has 400 bytes"),
        (["--bundle", "x", "--user", "a\udcff"], UserError, "--user is not UTF-8"),
        (["--bundle", "x", "--titles", "no.csv"], UserError, "no.csv: no such file"),
        (["--bundle", "x", "--bootstrap-servers", "127.0.0.1:1"], UserError, "no Kafka broker"),
        (["--bundle", "x", "--filters", "sold"], SettingsError, "filter 'sold' is unknown"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_a_line(
    arguments: list[str], kind: type[UserError], said: str
) -> None:
    error = run(*arguments).exception
    assert isinstance(error, kind)
    assert said in str(error)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--language", "xx"], "'xx' is not one of 'en', 'zh'"),
        (["--k", "0"], "0 is not in the range 1<=x<=1000"),
    ],
)
def test_wrong_options_are_refused(arguments: list[str], said: str) -> None:
    made = run(*arguments)
    assert made.exit_code == 2
    assert said in made.output


def test_a_bundle_that_is_not_there_and_an_item_that_is_not_in_it(stored) -> None:
    assert "no such directory" in str(run("--bundle", "no/such").exception)
    error = run("--bundle", BUNDLE, "--item", "no such item").exception
    assert isinstance(error, UserError)
    assert "item 'no such item' is not among the" in str(error)


def test_the_list_with_titles_reasons_and_what_is_to_be_known(stored) -> None:
    made = run("--bundle", BUNDLE, "--titles", MOVIES, "--k", "3")
    assert made.exit_code == 0, made.exception
    lines = made.output.splitlines()
    assert lines[0].startswith("user ann: 3 events, 3 of them in the ring; release ")
    assert "transition counts and trends are those of the bundle" in lines[1]
    assert lines[2] == "note: the row had no state of the encoder; it was replayed from its ring"
    assert lines[3] == "note: the list that was sent with the row is not on the topic any more"
    assert [line[:5] for line in lines if line[2].isdigit()] == ["  1  ", "  2  ", "  3  "]
    assert "click Matrix, The (1999), 2023-11-14 22:13" in made.output


def test_chinese_sentences(stored) -> None:
    made = run("--bundle", BUNDLE, "--titles", MOVIES, "--language", "zh")
    assert "。" in made.output
    assert "Others went on" not in made.output


def test_one_item_as_json(stored) -> None:
    made = run("--bundle", BUNDLE, "--titles", MOVIES, "--item", "318", "--json")
    shown = json.loads(made.output)
    (item,) = shown["items"]
    assert (item["status"], item["filters"], item["rank"]) == ("filtered", ["clicked"], None)
    assert item["title"] == "Shawshank Redemption, The (1994)"
    assert item["sentence"]
    assert (shown["user_id"], shown["ring"], shown["sent"]) == ("ann", 3, None)
    assert any("of the bundle" in note for note in shown["notes"])


def test_a_row_of_another_release_and_the_list_that_was_sent(stored) -> None:
    old = stored["ann"].state
    first = json.loads(run("--bundle", BUNDLE, "--json").output)["items"][0]["item_id"]
    sent = Recommendation(
        rec_id="1", user_id="ann", items=(RankedItem(first, 1.0, 7),),
        model=ServingModel("old", "1", "x"), generated_at_ms=NOW,
    )  # fmt: skip
    row = msgspec.structs.replace(old, release="old@1")
    stored["ann"] = StoredUser(row, sent)
    shown = run("--bundle", BUNDLE).output
    assert "note: the row is of release old@1; it was replayed from its ring with " in shown
    assert (
        "note: the last list sent is of 2023-11-14 22:13:20 UTC, release old@1; it shares 1 items"
        in shown
    )
    assert "  sent as 7\n" in shown
    assert json.loads(run("--bundle", BUNDLE, "--json").output)["sent"]["rec_id"] == "1"


def test_a_user_whose_events_break_the_encoder(stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_app.reasons.explainer.encoded", lambda *_: None)
    shown = run("--bundle", BUNDLE).output
    assert "not finite; the list is made without it, and no event was left out" in shown
