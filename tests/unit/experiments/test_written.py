"""What an operator writes becomes an experiment that fits beside the others, or is refused."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import Arm, ExperimentSpec, RejectedMessage, decode_experiment, encode
from stream_app.errors import UserError
from stream_app.experiments.written import find, parse

TWO = [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5}]
NOW = 1_000


def read(held: dict[str, ExperimentSpec] | None = None, **fields: Any) -> ExperimentSpec:
    return parse({"name": "page", "arms": TWO, **fields}, held or {}, NOW)


def other(name: str, start: float, share: float, **fields: Any) -> dict[str, ExperimentSpec]:
    arms = (Arm("a", 0.5), Arm("b", 0.5))
    return {name: ExperimentSpec(name=name, arms=arms, start=start, share=share, **fields)}


def test_it_begins_now_with_all_users() -> None:
    made = read()
    assert (made.from_ms, made.start, made.share, made.off) == (NOW, 0.0, 1.0, ())


def test_it_takes_the_first_users_that_are_free() -> None:
    held = other("x", 0.0, 0.3) | other("y", 0.5, 0.2)
    assert read(held, share=0.2).start == 0.3
    assert read(held, share=0.25).start == pytest.approx(0.7)
    assert read(held, share=0.2, start=0.75).start == 0.75
    with pytest.raises(UserError, match=r"no stretch of 0.4 of the users is free; taken: x 0 to 0"):
        read(held, share=0.4)
    with pytest.raises(UserError, match=r"'y' has some of these users: those from 0.5 to 0.7"):
        read(held, share=0.2, start=0.6)
    over = other("x", 0.0, 1.0, until_ms=NOW)
    assert read(over).start == 0.0  # it has ended


def test_what_was_said_before_holds_where_nothing_is_said() -> None:
    before = other("page", 0.4, 0.1, from_ms=5, off=("b",))
    again = read(before, share=0.3)
    assert (again.start, again.from_ms, again.off, again.share) == (0.4, 5, ("b",), 0.3)
    assert read(before, off=[]).off == ()
    assert read(before, share=0.7).start == 0.0  # it does not fit where it was
    ended = other("page", 0.4, 0.1, from_ms=5, until_ms=10, off=("b",))
    assert (read(ended).from_ms, read(ended).off) == (NOW, ())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": "x"}, "`model` is no field of an experiment: name the release"),
        (
            {"arms": [{"name": "a", "share": 1, "model": "m"}, {"name": "b", "share": 1}]},
            r"`arms\[0\].model` is no field of an experiment: name the release",
        ),
        ({"shares": 1}, "`shares` is no field of an experiment: known are name, arms, control"),
        ({"arms": TWO[:1]}, "this is no experiment: .*length >= 2"),
        ({"arms": [*TWO, {"name": "c", "share": 0.1}]}, "add up to 1.1, more than 1"),
        ({"arms": [TWO[0], TWO[0]]}, "two arms have the name 'a'"),
        ({"control": "z"}, "`control` names 'z'; the arms are a, b"),
        ({"off": ["z"]}, "`off` names 'z'; the arms are a, b"),
        ({"off": ["a"]}, "the control 'a' cannot be off"),
        ({"start": 0.5, "share": 0.6}, "start 0.5 and share 0.6 reach beyond 1"),
        ({"until_ms": 10}, "until_ms 10 is not after from_ms 1000"),
        ({"name": "a b"}, "this is no experiment: .*matching regex"),
        ({"name": "a\n"}, "this is no experiment: .*matching regex"),
        (
            {"lists": "home", "arms": [TWO[0], {"name": "z", "share": 0.1, "release": "m@2"}]},
            "arm 'z' has a release, so the experiment has to be on the lists of 'default'",
        ),
        ({"share": 0}, "this is no experiment: Expected `float` > 0"),
    ],
)
def test_what_is_wrong_is_said(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        read(**fields)


def test_a_record_that_does_not_hang_together_is_rejected() -> None:
    made = read()
    assert decode_experiment(encode(made), key=b"page") == ("page", made)
    assert decode_experiment(None, key=b"page") == ("page", None)
    with pytest.raises(RejectedMessage, match="key b'other' is not the name 'page'"):
        decode_experiment(encode(made), key=b"other")
    wrong = ExperimentSpec(name="page", arms=made.arms, off=("a",))
    with pytest.raises(RejectedMessage, match="the control 'a' cannot be off"):
        decode_experiment(encode(wrong), key=b"page")


def test_an_unknown_name_is_told_what_there_is() -> None:
    with pytest.raises(UserError, match="there is no experiment 'page'; there is: x, y"):
        find(other("y", 0, 0.5) | other("x", 0, 0.5), "page")
