"""Somebody of whom nothing is known gets films that a reader finds sensible: real texts and titles.

The bundle of the repository, and the sentence encoder that it was trained with, made again.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from schemas import Click, Item, Profile, Recommendation, RecommendationRequest
from stream_app.bundle import Bundle, load_bundle
from stream_app.recommender import Recommender
from stream_app.text import TextEncoder
from stream_app.text.items import read_items

EXAMPLE = Path(__file__).parents[3] / "examples" / "movielens"
TOY_STORY = "1"
with (EXAMPLE / "ml-latest-small" / "movies.csv").open(encoding="utf-8") as file:
    MOVIES = {row["movieId"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def encoder(exported: Path) -> TextEncoder:
    return TextEncoder.load(exported)


@pytest.fixture
def served(encoder: TextEncoder) -> Recommender:
    return Recommender(as_trained_with(encoder), clock=lambda: 1_000, text_encoder=encoder)


def as_trained_with(encoder: TextEncoder) -> Bundle:
    """With other versions of torch the exported file differs in its bytes, and means the same."""
    bundle = load_bundle(EXAMPLE / "bundle")
    assert bundle.text is not None
    spec = msgspec.structs.replace(bundle.text.spec, sha256=encoder.digest)
    return replace(bundle, text=replace(bundle.text, spec=spec))


def titles(made: Recommendation) -> list[str]:
    return [MOVIES[item.item_id]["title"] for item in made.items]


def of_genres(made: Recommendation, *genres: str) -> int:
    """How many of the list have one of them."""
    return sum(
        bool(set(genres) & set(MOVIES[item.item_id]["genres"].split("|"))) for item in made.items
    )


def ask(served: Recommender, user: str = "x", **fields: object) -> Recommendation:
    request = RecommendationRequest(user_id=user, request_id="q", **fields)  # type: ignore[arg-type]
    return served.answer(request)[0]


@pytest.mark.parametrize(
    ("query", "genres", "least"),
    [
        ("dark science fiction about robots", ("Sci-Fi", "Animation"), 7),
        ("a funny family movie with animals", ("Children", "Comedy"), 8),
        ("japanese animation", ("Animation",), 6),
        ("documentary about music", ("Documentary", "Musical"), 7),
        ("western with cowboys", ("Western",), 6),
        ("I like horror", ("Horror", "Thriller"), 8),
        ("romantic comedy", ("Romance", "Comedy"), 9),
    ],
)
def test_a_query_brings_films_of_its_kind(
    served: Recommender, query: str, genres: tuple[str, ...], least: int
) -> None:
    made = ask(served, query=query)
    assert made.degraded is None
    assert len(made.items) == 10
    assert of_genres(made, *genres) >= least, titles(made)


@pytest.mark.parametrize(
    ("query", "word", "least"), [("christmas", "Christmas", 3), ("zombies", "Zomb", 2),
                                 ("pirates", "Pirates", 3)]
)  # fmt: skip
def test_a_query_finds_what_it_names(
    served: Recommender, query: str, word: str, least: int
) -> None:
    made = ask(served, query=query)
    assert sum(word in title for title in titles(made)) >= least, titles(made)


def test_a_query_leads_away_from_what_the_user_did(served: Recommender) -> None:
    wars = [Click(user_id="ann", item_id=film, timestamp_ms=at)
            for at, film in enumerate(["260", "1196", "1210", "2571"])]  # fmt: skip
    (usual,) = served.recommend(wars)
    assert of_genres(usual, "Documentary") == 0
    assert of_genres(ask(served, "ann", query="documentary about music"), "Documentary") >= 7


def test_with_a_context_only_a_stranger_gets_known_films(served: Recommender) -> None:
    made = ask(served, context={"page": "home", "device": "tv"})
    assert made.degraded is None
    known = {"Matrix, The (1999)", "Forrest Gump (1994)", "Shawshank Redemption, The (1994)"}
    assert known <= set(titles(made))


def test_a_profile_leans_the_popular_films_its_way_and_counts_after_the_first_event(
    served: Recommender,
) -> None:
    (first,) = served.introduce(Profile(user_id="ann", text="Animation for children: Toy Story"))
    stranger = ask(served)
    shared = set(titles(first)) & set(titles(stranger))
    assert len(shared) >= 6, "mostly what everybody gets"
    assert of_genres(first, "Animation") > of_genres(stranger, "Animation")
    clicks = [Click(user_id=user, item_id=TOY_STORY, timestamp_ms=1) for user in ("ann", "bob")]
    with_profile, without = served.recommend(clicks)
    assert of_genres(with_profile, "Animation") > of_genres(without, "Animation")


def test_a_film_that_joined_a_moment_ago_leads_to_its_like(
    served: Recommender, encoder: TextEncoder
) -> None:
    kinds = ("Animation", "Children")
    film = Item(item_id="new", title="Robots of the Deep (2027)", categories=kinds)
    served.catalogue.apply([("new", film)], [("new", read_items([film], encoder)[0])])
    (made,) = served.recommend([Click(user_id="eve", item_id="new", timestamp_ms=1)])
    assert of_genres(made, "Animation") >= 8, titles(made)
    assert "new" in [item.item_id for item in ask(served, query=film.title, k=20).items]
