"""What a released version wrote stays readable for ever.

`golden/v<version>/` holds payloads of every message type as that version wrote them. They are
frozen: a later version adds its own directory and its own entry here, and edits none.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from schemas import (
    TOPICS,
    Arm,
    Click,
    DeadLetter,
    Decision,
    ErasureReceipt,
    ErasureRequest,
    Experiment,
    ExperimentSpec,
    Impression,
    Item,
    ItemTrend,
    ItemVector,
    Pin,
    Profile,
    Purchase,
    RankedItem,
    Recommendation,
    RecommendationRequest,
    Remaining,
    Rule,
    RuleTrace,
    Scenario,
    ServingModel,
    Trigger,
    decode,
    decode_erasure,
    decode_experiment,
    decode_impression,
    decode_item,
    decode_output,
    decode_profile,
    decode_request,
    decode_rule,
    decode_scenario,
)

GOLDEN = Path(__file__).parent / "golden"
NOW_MS = 1_750_000_000_000

RELEASED: dict[str, dict[str, msgspec.Struct]] = {
    "v0.1.0": {
        "click_minimal": Click(user_id="u1", item_id="i1", timestamp_ms=1_700_000_000_000),
        "click_full": Click(
            user_id="user-é",
            item_id="item/7",
            timestamp_ms=1_700_000_000_123,
            event_id="e-1",
            session_id="s-1",
            rec_id="r-1",
            context={"page": "home", "position": 3, "dwell_s": 1.5, "logged_in": True, "ab": None},
            action="add_to_cart",
        ),
        "purchase_minimal": Purchase(user_id="u1", item_id="i1", timestamp_ms=0),
        "purchase_full": Purchase(
            user_id="u1",
            item_id="i1",
            timestamp_ms=1_700_000_000_123,
            event_id="e-2",
            session_id="s-1",
            rec_id="r-1",
            context={"channel": "app"},
            quantity=3,
            price=19.9,
            currency="EUR",
        ),
        "recommendation_minimal": Recommendation(
            rec_id="r-1",
            user_id="u1",
            items=(),
            model=ServingModel(name="m", version="1", backend="onnxruntime"),
            generated_at_ms=1_700_000_000_200,
        ),
        "recommendation_full": Recommendation(
            rec_id="r-2",
            user_id="u1",
            items=(
                RankedItem(
                    item_id="i9",
                    score=1.25,
                    rank=1,
                    sources=("personal", "transitions"),
                    reasons=("after i1",),
                ),
                RankedItem(item_id="i8", score=-0.5, rank=2),
            ),
            model=ServingModel(name="movielens", version="3", backend="onnxruntime"),
            generated_at_ms=1_700_000_000_200,
            trigger=Trigger(
                topic="clicks",
                partition=2,
                offset=41,
                timestamp_ms=1_700_000_000_123,
                event_id="e-1",
            ),
            request_id="q-1",
            applied={"clicks/2": 41, "purchases/2": 7},
            experiment=Experiment(name="rank", arm="b"),
            degraded="no model: popular items",
        ),
        "recommendation_ruled": Recommendation(
            rec_id="r-3",
            user_id="u1",
            items=(RankedItem(item_id="i9", score=1.25, rank=1),),
            model=ServingModel(name="movielens", version="3", backend="onnxruntime"),
            generated_at_ms=1_700_000_000_200,
            rules=(RuleTrace("summer", "boost", (1, 4)), RuleTrace("no wine", "exclude")),
        ),
        "impression_minimal": Impression(
            user_id="u1", rec_id="r-1", item_ids=("i1",), timestamp_ms=1_700_000_000_000
        ),
        "impression_full": Impression(
            user_id="user-é",
            rec_id="r-2",
            item_ids=("i9", "i8"),
            timestamp_ms=1_700_000_000_123,
            session_id="s-1",
            context={"page": "home", "above_fold": True},
        ),
        "recommendation_request_minimal": RecommendationRequest(user_id="u1", request_id="q-1"),
        "recommendation_request_full": RecommendationRequest(
            user_id="user-é",
            request_id="q-2",
            k=50,
            exclude=("i1", "i2"),
            seed_items=("i3",),
            deadline_ms=1_700_000_000_300,
        ),
        "erasure_request_minimal": ErasureRequest(user_id="u1"),
        "erasure_request_full": ErasureRequest(
            user_id="user-é", request_id="case-7", requested_at_ms=1_700_000_000_123
        ),
        "erasure_receipt_minimal": ErasureReceipt(
            topic="erasures",
            partition=0,
            offset=3,
            appended_ms=1_700_000_000_000,
            erased_at_ms=1_700_000_000_010,
            outcome="unknown",
        ),
        "erasure_receipt_full": ErasureReceipt(
            topic="shop.erasures",
            partition=2,
            offset=4,
            appended_ms=1_700_000_000_000,
            erased_at_ms=1_700_000_000_010,
            outcome="erased",
            request_id="case-7",
            reread=True,
            events=17,
            row_bytes=1200,
            dropped=2,
            applied={"shop.clicks/2": 41, "shop.purchases/2": 7},
            remaining=(Remaining("shop.clicks", 1_700_600_000_000), Remaining("shop.archive")),
        ),
        "dead_letter_minimal": DeadLetter(
            reason="decode_error",
            detail="the value is null; an event needs one",
            topic="clicks",
            partition=0,
            offset=5,
            timestamp_ms=1_700_000_000_000,
            key=None,
            value=None,
        ),
        "dead_letter_full": DeadLetter(
            reason="validation_error",
            detail="Object missing required field `item_id`",
            topic="shop.clicks",
            partition=3,
            offset=6,
            timestamp_ms=1_700_000_000_000,
            key=b"u\xff",
            value=b"\x81\xa7user_id\xa2u1",
            headers=(("trace", b"\x00\x01"), ("empty", None)),
            truncated=("headers",),
        ),
        "decision_minimal": Decision(
            rec_id="r",
            user_id="u",
            made_ms=1,
            release="m@1",
            row=b"",
            plan="{}",
            length=10,
            items=(),
            sources=(),
            proposed=b"",
            scorers=(),
            parts=b"",
            causes=(),
        ),
        "decision_full": Decision(
            rec_id="0123456789abcdef01234567",
            user_id="user-é",
            made_ms=1_700_000_000_000,
            release="shop@1.2.3",
            row=b"\x81\xa1v\x01",
            plan='{"filters":["bought"]}',
            length=20,
            request=RecommendationRequest(user_id="user-é", request_id="q-1", k=3),
            items=("i1", "i2"),
            sources=("personal", "trending"),
            proposed=b"\x01\x00\x03\x00",
            scorers=("affinity", "terms"),
            parts=b"\x00\x00\x80\x3f" * 4,
            causes=("", "i1"),
            vectors={"i2": b"\x00\x00\x80\x3f"},
            pins=(Pin(1, ("i2", "i1")),),
            quotas=((2, b"\x00\x01"),),
            experiment=Experiment("weights", "b"),
            degraded="why not",
        ),
        "profile_minimal": Profile(user_id="u1"),
        "profile_full": Profile(
            user_id="user-é",
            text="Dark science fiction.\nNo musicals!",
            attributes={"country": "NZ", "age": 41, "share": 0.5, "member": True},
            timestamp_ms=1_700_000_000_123,
        ),
        "recommendation_request_query": RecommendationRequest(
            user_id="u1", request_id="q-1", query="films about the sea"
        ),
        "item_minimal": Item(item_id="i1"),
        "item_full": Item(
            item_id="item/7",
            title="Café lamp",
            description="Warm light.\nFor the table.",
            categories=("lamps", "table"),
            attributes={"colour": "red", "watts": 7, "lumen": 470.5, "dimmable": True},
            price=19.9,
            currency="EUR",
            available_from_ms=1_700_000_000_000,
            available_until_ms=1_800_000_000_000,
            popularity=12.5,
            related=("item/8", "item/9"),
            vectors={"image": (0.25, -0.5, 1.0)},
        ),
        "item_vector_minimal": ItemVector(item_id="i1", encoder="ab", content=b"", vector=b""),
        "item_vector_full": ItemVector(
            item_id="item/7", encoder="ab" * 32, content=b"\x00\xff" * 4, vector=b"\x00\x3c\xff\x00"
        ),
        "item_trend_full": ItemTrend(
            item_id="item/7",
            release="films@0.1.0",
            half_life_ms=2_592_000_000.0,
            level=655.75,
            at_ms=1_700_000_000_000,
        ),
        "rule_minimal": Rule(rule_id="r1", items="true", exclude=True),
        "rule_full": Rule(
            rule_id="summer é",
            items="'lamps' in item.categories",
            when="user.events > 3",
            boost=-1.5,
            scenarios=("home page", "default"),
            from_ms=1_700_000_000_000,
            until_ms=1_800_000_000_000,
            priority=-3,
        ),
        "rule_quota": Rule(rule_id="r2", items="item.price > 5.0", at_most=0),
        "rule_pin": Rule(rule_id="r3", items="item.item_id == 'i1'", pin=200),
        "rule_bury": Rule(rule_id="r4", items="item.title == ''", bury=True),
        "scenario_minimal": Scenario(name="default"),
        "scenario_full": Scenario(
            name="home page",
            weights={"transition": 0.5, "popularity": 2.0},
            sources={"trending": 0, "personal": 200},
            filters=("bought", "clicked:30d"),
            categories=("Comedy", "Café"),
            diversity=1.5,
            popularity_discount=0.25,
            action_values="purchase=5 view=0.5",
        ),
        "experiment_spec_minimal": ExperimentSpec(name="page", arms=(Arm("a", 0.5), Arm("b", 0.5))),
        "experiment_spec_full": ExperimentSpec(
            name="front-page.2",
            arms=(
                Arm("calm", 0.25, "calm"),
                Arm("as_it_is", 0.5),
                Arm("held_out", 0.25, "popular"),
            ),
            control="as_it_is",
            lists="home page",
            salt="front",
            start=0.25,
            share=0.5,
            from_ms=1_700_000_000_000,
            until_ms=1_800_000_000_000,
            off=("calm",),
        ),
    }
}
SAMPLES = [
    pytest.param(path, message, id=f"{version}/{path.name}")
    for version, messages in RELEASED.items()
    for name, message in messages.items()
    for path in (GOLDEN / version / f"{name}.json", GOLDEN / version / f"{name}.msgpack")
]

# How messages of compacted topics are read, and the field that is their key.
KEYED = {
    Item: (decode_item, "item_id"),
    Profile: (decode_profile, "user_id"),
    Rule: (decode_rule, "rule_id"),
    Scenario: (decode_scenario, "name"),
    ExperimentSpec: (decode_experiment, "name"),
}


def read(payload: bytes, like: msgspec.Struct) -> msgspec.Struct:
    if isinstance(like, Click | Purchase):
        return decode(type(like), payload, key=like.user_id.encode(), now_ms=NOW_MS)
    if isinstance(like, ErasureRequest):
        return decode_erasure(payload, key=like.user_id.encode())
    if isinstance(like, Impression):
        return decode_impression(payload, key=like.user_id.encode())
    if isinstance(like, RecommendationRequest):
        return decode_request(payload, key=like.user_id.encode())
    for kind, (decode_keyed, field) in KEYED.items():
        if isinstance(like, kind):
            key = getattr(like, field)
            name, message = decode_keyed(payload, key=key.encode())
            assert name == key
            assert message is not None
            return message
    outputs = Recommendation | Decision | DeadLetter | ErasureReceipt | ItemVector | ItemTrend
    assert isinstance(like, outputs)
    return decode_output(type(like), payload)


@pytest.mark.parametrize(("path", "message"), SAMPLES)
def test_a_released_payload_reads_as_it_was_meant(path, message):
    assert read(path.read_bytes(), message) == message


@pytest.mark.parametrize(("path", "message"), SAMPLES)
def test_a_field_of_a_later_version_is_ignored(path, message):
    codec = msgspec.json if path.suffix == ".json" else msgspec.msgpack
    fields = codec.decode(path.read_bytes())
    payload = codec.encode({"from_the_future": {"deep": [1, 2.5, None]}, **fields})
    assert read(payload, message) == message


@pytest.mark.parametrize("version", RELEASED)
def test_every_message_type_has_samples_and_no_sample_is_forgotten(version):
    messages = RELEASED[version]
    assert {type(message) for message in messages.values()} == {topic.value for topic in TOPICS}
    assert {path.stem for path in (GOLDEN / version).iterdir()} == messages.keys()
