"""A sentence about each item, from templates: one plain TOML file for a language."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Annotated

import msgspec

from stream_app.errors import UserError
from stream_app.reasons.result import Cause, ExplainedItem
from stream_app.users.actions import ACTIONS

SECOND = 0.5
"""A second event is named when it carries at least so much of what the first does."""
DEMAND_DECIDES = 0.5
"""With a share above this, demand is the reason, or what the user says, and no event."""
DEMAND_HELPS = 0.25
"""With at least this one it is said as well."""

_POPULARITY = "popularity"
_PROFILE = "profile"
# Parts of a learned score that are said in the words of another.
_SAME_WORDS = {
    "last transition": "transition",
    "similarity": "affinity",
    "recent similarity": "affinity",
    "text similarity": "affinity",
}
_LAST_RESORT = ("popular",)

Text = Annotated[str, msgspec.Meta(min_length=1)]


class Templates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A language file: every table and key of `languages/en.toml`, and no other."""

    sentence: dict[str, Text]
    also: dict[str, Text]
    event: dict[str, Text]
    word: dict[str, Text]


def languages() -> tuple[str, ...]:
    """Codes of the languages that there are sentences in, `en` first."""
    folder = files("stream_app.reasons") / "languages"
    codes = (one.name.removesuffix(".toml") for one in folder.iterdir() if one.is_file())
    return tuple(sorted(codes, key=lambda code: (code != "en", code)))


class Sentences:
    """Says in one language why items are recommended."""

    def __init__(self, language: str = "en", titles: Mapping[str, str] | None = None) -> None:
        """`titles` names items by id; an item without one is called by its id.

        Raises UserError for a language without a file.
        """
        if language not in languages():
            raise UserError(f"language {language!r} is unknown; use {', '.join(languages())}")
        path = files("stream_app.reasons") / "languages" / f"{language}.toml"
        parsed = tomllib.loads(path.read_text(encoding="utf-8"))
        self.templates = msgspec.convert(parsed, Templates)
        self._titles = titles or {}

    def title(self, item_id: str | None) -> str:
        """What an item is called."""
        if item_id is None:
            return self.templates.word["unknown_item"]
        return _one_line(self._titles.get(item_id) or item_id)

    def of(self, item: ExplainedItem) -> str:
        """The sentence about an item; for one that is not in the list, what would speak for it.

        It names the event that carried the item most, and a second one that did the same nearly
        as much, in the words of the scorer through which it did.
        """
        sentences = self.templates.sentence
        if item.sources == _LAST_RESORT:
            return sentences["popular"]
        demand = sum(part.share for part in item.parts if part.scorer == _POPULARITY)
        said_of_user = sum(part.share for part in item.parts if part.scorer == _PROFILE)
        if said_of_user > (DEMAND_DECIDES if item.causes else demand):
            return sentences[_PROFILE]
        if not item.causes or demand > DEMAND_DECIDES:
            return sentences[_POPULARITY]
        by = _strongest(item.causes[0])
        named = [item.causes[0]]
        named += [
            cause
            for cause in item.causes[1:2]
            if _strongest(cause) == by and cause.contribution >= SECOND * named[0].contribution
        ]
        said = sentences.get(by, sentences["other"]).format(
            events=self._joined("two_events", [self._event(cause) for cause in named]),
            items=self._joined("two_items", [self._name(cause.item_id) for cause in named]),
        )
        return said + (self.templates.also[_POPULARITY] if demand >= DEMAND_HELPS else "")

    def _name(self, item_id: str | None) -> str:
        if item_id is None:
            return self.templates.word["unknown_item"]
        return self.templates.word["item"].format(item=self.title(item_id))

    def _event(self, cause: Cause) -> str:
        template = self.templates.event.get(cause.action, self.templates.event[ACTIONS[0]])
        return template.format(item=self._name(cause.item_id))

    def _joined(self, word: str, parts: list[str]) -> str:
        if len(parts) == 1 or parts[0] == parts[1]:
            return parts[0]
        return self.templates.word[word].format(first=parts[0], second=parts[1])


def _one_line(text: str) -> str:
    """Without control characters, which could rewrite a terminal, and bytes that were no UTF-8."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def _strongest(cause: Cause) -> str:
    """The words for the part of the score through which an event did most."""
    sums: dict[str, float] = {}
    for name, contribution in cause.by.items():
        words = _SAME_WORDS.get(name, name)
        sums[words] = sums.get(words, 0.0) + contribution
    return max(sums, key=lambda name: sums[name])
