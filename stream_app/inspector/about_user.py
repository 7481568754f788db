"""A user as the page shows them: what they did, and their list with its reasons."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream_app.reasons import Explanation, Sentences, Steps
from stream_app.reasons.result import Cause, ExplainedItem
from stream_app.recommender import Recommender
from stream_app.releases import Releases
from stream_app.users.actions import action_name
from stream_app.users.profile import profile_of
from stream_app.users.state import UserState, events_of

Shown = dict[str, Any]
"""A JSON object."""


def about_user(releases: Releases, user_id: str, state: UserState, language: str) -> Steps[Shown]:
    """Everything about a user with this row; the list is made now, with the live counts.

    Steps for the engine's thread. Raises UserError for a language without sentences.
    """
    recommender = releases.serving(user_id)
    explanation = yield from recommender.explain_in_steps(user_id, state)
    now_ms = recommender.now()
    profile = profile_of(state)
    split = releases.main.treatments.experiments.split(now_ms)
    arm = split.assign([user_id])[0] if split is not None else None
    return {
        "user_id": user_id,
        "events": state.events,
        "profile": {"text": profile.text, "attributes": profile.attributes}
        if state.profile
        else None,
        "arms": {} if arm is None else {arm.experiment.name: arm.experiment.arm},
        "release": explanation.release,
        "history": history(recommender, state),
        "list": _list(recommender, explanation, now_ms, language),
    }


def history(recommender: Recommender, state: UserState, most: int | None = None) -> list[Shown]:
    """The last events, the newest first. For the engine's thread."""
    catalog = recommender.bundle.catalog
    events = events_of(state.history)[::-1][:most]
    places = catalog.lookup(np.ascontiguousarray(events["item"])).tolist()
    ids = [None if place < 0 else catalog.ids[place] for place in places]
    actions, times = events["action"].tolist(), events["timestamp_ms"].tolist()
    return [
        _event(recommender, item_id, action_name(action), at_ms)
        for item_id, action, at_ms in zip(ids, actions, times, strict=True)
    ]


def _list(recommender: Recommender, explanation: Explanation, now_ms: int, language: str) -> Shown:
    named = {item.item_id for item in explanation.items}
    named |= {one.item_id for item in explanation.items for one in item.causes if one.item_id}
    sentences = Sentences(language, {one: recommender.catalogue.title(one) for one in named})
    return {
        "made_ms": now_ms,
        "length": explanation.k,
        "candidates": explanation.candidates,
        "degraded": explanation.degraded,
        "replayed_from": explanation.replayed_from,
        "rules": [
            {
                "rule_id": one.rule_id,
                "effect": one.effect,
                "value": one.value,
                "items": one.items,
                "candidates": one.candidates,
                "ranks": one.ranks,
            }
            for one in explanation.rules
        ],
        "items": [_item(recommender, item, sentences) for item in explanation.items],
    }


def _item(recommender: Recommender, item: ExplainedItem, sentences: Sentences) -> Shown:
    named = sum(cause.contribution for cause in item.causes)
    return {
        "rank": item.rank,
        "item_id": item.item_id,
        "title": recommender.catalogue.title(item.item_id),
        "score_nats": item.score,
        "sources": [{"name": name, "share": _share_of(item, name)} for name in item.sources],
        "parts": [
            {
                "name": part.scorer,
                "score_nats": part.score,
                "lift_nats": part.lift,
                "share": part.share,
            }
            for part in item.parts
        ],
        "reason": sentences.of(item),
        "because": [_cause(recommender, cause, named) for cause in item.causes],
        "rules": item.rules,
    }


def _share_of(item: ExplainedItem, source: str) -> float | None:
    """What the evidence that a source goes by has of what speaks for the item; None: no scorer
    goes by it."""
    shares = [part.share for part in item.parts if part.source == source]
    return round(sum(shares), 4) if shares else None


def _cause(recommender: Recommender, cause: Cause, named: float) -> Shown:
    shown = _event(recommender, cause.item_id, cause.action, cause.timestamp_ms)
    share = round(cause.contribution / named, 4) if named > 0 else 0.0
    return {**shown, "share": share, "contribution_nats": cause.contribution}


def _event(recommender: Recommender, item_id: str | None, action: str, at_ms: int) -> Shown:
    title = None if item_id is None else recommender.catalogue.title(item_id)
    return {"item_id": item_id, "title": title, "action": action, "at_ms": at_ms}
