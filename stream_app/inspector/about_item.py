"""An item as the page shows it: what is said of it, what is near it, and what follows it."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream_app.catalog.table import DELISTED, LISTED
from stream_app.reasons import Steps
from stream_app.recommender import Recommender

Shown = dict[str, Any]

NEIGHBOURS = 10
FOLLOWERS = 10
MOST_FOUND = 20
MOST_LOOKED_AT = 200_000
"""Titles in a search: a fifth of a second of the engine's thread."""
SLICE = 2_000
"""Of them at a time: two milliseconds."""
_STATES = {LISTED: "listed", DELISTED: "delisted"}


def about_item(recommender: Recommender, item_id: str) -> Shown | None:
    """Everything about an item; None for one that the catalogue does not hold.

    For the engine's thread.
    """
    recommender.look()  # brings what is kept beside the catalogue up to it
    catalog, table = recommender.bundle.catalog, recommender.catalogue.table
    place = catalog.index_of(item_id)
    if place < 0:
        return None
    said = table.item(place)
    available = catalog.available
    return {
        "item_id": item_id,
        "title": recommender.catalogue.title(item_id),
        "categories": said.categories if said else (),
        "attributes": said.attributes if said else {},
        "price": said.price if said else None,
        "currency": said.currency if said else None,
        "state": _STATES.get(int(table.state[place]), "nothing said"),
        "available": available is None or bool(available[place]),
        "has_vector": bool(catalog.has_vector[place]),
        "neighbours": _neighbours(recommender, place),
        "followed_by": _followers(recommender, place),
        "trend": _trend(recommender, place),
    }


def find_items(recommender: Recommender, text: str) -> Steps[Shown]:
    """Items by their id, or by a part of their title whatever its case. For the engine's thread."""
    wanted = text.casefold()
    catalog, catalogue = recommender.bundle.catalog, recommender.catalogue
    found = [text] if catalog.index_of(text) >= 0 else []
    looked, last = 0, min(len(catalog), MOST_LOOKED_AT)
    while looked < last and len(found) <= MOST_FOUND:
        start, looked = looked, min(looked + SLICE, last)
        for place in range(start, looked):
            title = catalogue.table.title(place)
            if title is not None and wanted in title.casefold() and catalog.ids[place] != text:
                found.append(catalog.ids[place])
        yield
    items = [_named(recommender, item_id) for item_id in found[:MOST_FOUND]]
    complete = looked == len(catalog) and len(found) <= MOST_FOUND
    return {"items": items, "complete": complete}


def _neighbours(recommender: Recommender, place: int) -> list[Shown]:
    """The nearest that can be recommended, by the cosine of the vectors."""
    catalog = recommender.bundle.catalog
    if not catalog.has_vector[place]:
        return []
    vectors = catalog.vectors_of(np.array([place]))
    items, scores = recommender.bundle.index.search(vectors, NEIGHBOURS + 1)
    near = zip(items[0].tolist(), scores[0].tolist(), strict=True)
    return [
        {**_named(recommender, catalog.ids[item]), "similarity": round(score, 4)}
        for item, score in near
        if item not in (-1, place)
    ][:NEIGHBOURS]


def _followers(recommender: Recommender, place: int) -> list[Shown]:
    """What users went on to, with the share of them."""
    catalog = recommender.bundle.catalog
    items, shares = recommender.live.transitions.successors_of(np.array([place], np.int32))
    order = np.argsort(-shares[0], kind="stable")[:FOLLOWERS]
    return [
        {**_named(recommender, catalog.ids[item]), "share": round(share, 4)}
        for item, share in zip(items[0][order].tolist(), shares[0][order].tolist(), strict=True)
        if item >= 0 and share > 0
    ]


def _trend(recommender: Recommender, place: int) -> Shown:
    """Its part of the present activity, and its rank among the most popular."""
    trends = recommender.live.trends
    share = float(np.exp(trends.log_share(np.array([place], np.int32))[0]))
    top = trends.top.tolist()
    return {"share": round(share, 6), "rank": top.index(place) + 1 if place in top else None}


def _named(recommender: Recommender, item_id: str) -> Shown:
    return {"item_id": item_id, "title": recommender.catalogue.title(item_id)}
