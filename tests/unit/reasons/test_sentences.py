"""A sentence for each item, in every language, about the event that carried it."""

from __future__ import annotations

import re
from string import Formatter

import msgspec
import pytest

from stream_app.errors import UserError
from stream_app.reasons import Cause, ExplainedItem, Part, Sentences, Status, languages
from stream_app.reasons.sentences import Templates
from stream_app.users import ACTIONS

TITLES = {"1": "Toy Story (1995)", "6": "Heat (1995)", "9": "Line\nbreak \x1b[2J"}


def cause(item: str | None, contribution: float, by: str = "affinity", action="purchase") -> Cause:
    parts = {"affinity": 0.0, "transition": 0.0, "popularity": 0.0} | {by: contribution}
    return Cause(1, item, action, 0, contribution, parts)


def item(*causes: Cause, demand: float = 0.0, sources=("personal",)) -> ExplainedItem:
    parts = (
        Part("affinity", "personal", 1.0, 1.0, 1 - demand),
        Part("popularity", "trending", -1.0, 0.5, demand),
    )
    return ExplainedItem("6", Status.LISTED, 1, 1, 0.5, sources, parts, causes)


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def tables(language: str) -> dict[str, dict[str, str]]:
    templates: Templates = Sentences(language).templates
    return {name: getattr(templates, name) for name in templates.__struct_fields__}


@pytest.mark.parametrize("language", languages())
def test_every_language_says_all_that_english_does(language: str) -> None:
    english, other = tables("en"), tables(language)
    for table, texts in english.items():
        assert other[table].keys() == texts.keys()
        for key, text in texts.items():
            assert fields(other[table][key]) == fields(text), f"{language}: {table}.{key}"


def test_every_action_can_be_said() -> None:
    assert tables("en")["event"].keys() == set(ACTIONS)
    for action in (*ACTIONS, "hovered"):
        assert "Toy Story" in Sentences("en", TITLES).of(item(cause("1", 1.0, action=action)))


def test_the_event_that_did_most_is_named_in_the_words_of_its_scorer() -> None:
    say = Sentences("en", TITLES).of
    assert say(item(cause("1", 1.0))) == "It is close to your taste: you bought Toy Story (1995)."
    followed = item(cause("1", 1.0, "transition"))
    assert say(followed) == "Others went on to it from Toy Story (1995)."
    new = item(cause("1", 1.0, "text"))
    assert say(new) == "It was chosen by what you did: you bought Toy Story (1995)."


def test_a_second_event_is_named_when_it_did_the_same_nearly_as_much() -> None:
    say = Sentences("en", TITLES).of
    click = cause("6", 0.5, action="click")
    assert say(item(cause("1", 1.0), click)).endswith(
        "you bought Toy Story (1995) and you clicked Heat (1995)."
    )
    for other in (cause("6", 0.49), cause("6", 0.9, "transition"), cause("1", 0.9)):
        assert say(item(cause("1", 1.0), other)).endswith(": you bought Toy Story (1995).")


def test_demand_is_the_reason_when_it_decides_and_said_as_well_when_it_helps() -> None:
    say = Sentences("en", TITLES).of
    assert say(item(cause("1", 1.0), demand=0.6)) == "It is in demand at present."
    assert say(item()) == "It is in demand at present."
    assert say(item(cause("1", 1.0), demand=0.3)).endswith(". It is also in demand at present.")
    assert "demand" not in say(item(cause("1", 1.0), demand=0.2))
    filling = item(cause("1", 1.0), sources=("popular",))
    assert say(filling) == "It is among the most popular items and fills up your list."


def test_what_the_user_says_is_the_reason_where_it_decides() -> None:
    said, english = Part("profile", "profile", 1.0, 1.0, 0.6), Sentences("en", TITLES)
    for causes in ((), (cause("1", 2.0),)):
        made = msgspec.structs.replace(item(*causes), parts=(said,))
        assert english.of(made) == "It is close to what you say you like."
    less = msgspec.structs.replace(said, share=0.4)
    made = msgspec.structs.replace(item(cause("1", 2.0)), parts=(less,))
    assert "Toy Story" in english.of(made)


def test_chinese() -> None:
    say = Sentences("zh", TITLES).of
    both = item(cause("1", 1.0), cause("6", 0.8, action="view"))
    assert say(both) == "它与您的喜好相近：您购买过“Toy Story (1995)”，您浏览过“Heat (1995)”。"
    followed = item(cause("1", 1.0, "transition"), cause("6", 0.8, "transition"))
    assert say(followed) == "其他用户在“Toy Story (1995)”和“Heat (1995)”之后选择了它。"
    for made in (item(), item(cause(None, 1.0)), item(sources=("popular",))):
        assert not re.search("[a-zA-Z]", say(made))


def test_items_without_a_title_are_called_by_their_id_and_lost_ones_said_to_be_lost() -> None:
    plain = Sentences()
    assert plain.title("1") == "1"
    assert plain.of(item(cause("1", 1.0))).endswith("you bought 1.")
    assert plain.of(item(cause(None, 1.0))).endswith("you bought an item that is no longer known.")
    assert Sentences("en", {"1": ""}).title("1") == "1"


def test_a_title_cannot_reach_the_terminal_or_the_template() -> None:
    assert (
        Sentences("en", TITLES).title("9")
        == "Line\N{REPLACEMENT CHARACTER}break \N{REPLACEMENT CHARACTER}[2J"
    )
    braces = Sentences("en", {"1": "{events} %s"}).of(item(cause("1", 1.0)))
    assert braces == "It is close to your taste: you bought {events} %s."
    assert Sentences("en", {"1": "\udcff"}).title("1").encode()


def test_an_unknown_language_is_refused() -> None:
    assert languages() == ("en", "zh")
    with pytest.raises(UserError, match="language 'xx' is unknown; use en, zh"):
        Sentences("xx")
