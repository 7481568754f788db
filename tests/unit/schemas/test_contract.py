"""The committed contract is what the structs say, and it is well-formed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from schemas import (
    TOPICS,
    Arm,
    Click,
    DeadLetter,
    Decision,
    ErasureReceipt,
    ErasureRequest,
    ExperimentSpec,
    Impression,
    Item,
    ItemTrend,
    ItemVector,
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
)
from schemas import contract as generator
from schemas.codec import encode
from stream_app.cli.schemas import command

EXAMPLES = {
    "Click": Click(user_id="u1", item_id="i1", timestamp_ms=1, context={"a": 1.5}, event_id="e"),
    "Purchase": Purchase(user_id="u1", item_id="i1", timestamp_ms=1, price=9.9, currency="EUR"),
    "Recommendation": Recommendation(
        rec_id="r",
        user_id="u1",
        items=(RankedItem(item_id="i2", score=0.5, rank=1, sources=("trending",)),),
        model=ServingModel(name="m", version="1", backend="onnxruntime"),
        generated_at_ms=2,
        rules=(RuleTrace("summer", "boost", (1,)),),
    ),
    "Impression": Impression(user_id="u1", rec_id="r", item_ids=("i2",), timestamp_ms=1),
    "RecommendationRequest": RecommendationRequest(user_id="u1", request_id="q", exclude=("i1",)),
    "ErasureRequest": ErasureRequest(user_id="u1", request_id="q-1"),
    "ErasureReceipt": ErasureReceipt(
        topic="erasures",
        partition=1,
        offset=2,
        appended_ms=3,
        erased_at_ms=4,
        outcome="erased",
        events=5,
        applied={"clicks/1": 6},
        remaining=(Remaining("clicks", 7), Remaining("purchases")),
    ),
    "DeadLetter": DeadLetter(
        reason="too_large",
        detail="it is",
        topic="clicks",
        partition=0,
        offset=0,
        timestamp_ms=1,
        key=b"k",
        value=b"\xff",
        headers=(("h", b"\x00"), ("n", None)),
    ),
    "Item": Item(
        item_id="i1",
        title="Lamp",
        categories=("light",),
        attributes={"colour": "red", "watts": 7, "dimmable": True, "lumen": 470.5},
        price=9.9,
        currency="EUR",
        available_from_ms=1,
        related=("i2",),
        vectors={"image": (0.5, -1.0)},
    ),
    "Decision": Decision(
        rec_id="r",
        user_id="u",
        made_ms=1,
        release="m@1",
        row=b"\x80",
        plan="{}",
        length=10,
        items=("i1",),
        sources=("personal",),
        proposed=b"\x01\x00",
        scorers=("affinity",),
        parts=b"\x00\x00\x00\x00",
        causes=("",),
        quotas=((1, b"\x01"),),
    ),
    "Profile": Profile(user_id="u1", text="Dark science fiction", attributes={"member": True}),
    "Scenario": Scenario(
        name="home", weights={"popularity": 0.5}, sources={"trending": 0}, filters=("bought",)
    ),
    "ItemTrend": ItemTrend(item_id="i1", release="m@1", half_life_ms=1.0, level=2.0, at_ms=3),
    "ExperimentSpec": ExperimentSpec(
        name="page", arms=(Arm("as_it_is", 0.5), Arm("calm", 0.5, "calm")), share=0.2
    ),
    "Rule": Rule(rule_id="summer", items="'lamps' in item.categories", boost=0.5),
    "ItemVector": ItemVector(item_id="i1", encoder="00", content=b"\x01", vector=b"\x00\x3c"),
}


def test_the_committed_files_are_current():
    assert generator.stale_files() == [], "run `stream-app schemas generate`"


def test_check_names_a_changed_a_missing_and_a_left_over_file(tmp_path):
    run = CliRunner().invoke
    assert run(command, ["generate", "--directory", str(tmp_path)]).exit_code == 0
    assert run(command, ["check", "--directory", str(tmp_path)]).exit_code == 0
    (tmp_path / "asyncapi.yaml").write_text("asyncapi: 2.6.0\n")
    (tmp_path / "json" / "Click.json").unlink()
    (tmp_path / "json" / "Gone.json").write_text("{}")
    result = run(command, ["check", "--directory", str(tmp_path)])
    assert result.exit_code == 1
    for name in ("asyncapi.yaml", "json/Click.json", "json/Gone.json"):
        assert name in result.output


def test_generating_twice_gives_the_same_bytes():
    assert generator.contract_files() == generator.contract_files()


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


@pytest.mark.parametrize("name", sorted(generator.contract_files()))
def test_every_reference_resolves(name):
    document = yaml.safe_load((generator.DIRECTORY / name).read_text(encoding="utf-8"))
    found = list(references(document))
    assert found
    for reference in found:
        node = document
        assert reference.startswith("#/")
        for part in reference[2:].split("/"):
            assert part in node, reference
            node = node[part]


def test_asyncapi_describes_every_topic_and_message():
    document = yaml.safe_load((generator.DIRECTORY / "asyncapi.yaml").read_text(encoding="utf-8"))
    assert document["asyncapi"] == "3.0.0"
    assert list(document["channels"]) == [topic.name for topic in TOPICS]
    for topic in TOPICS:
        messages = document["channels"][topic.name]["messages"]
        assert set(messages) == {f"{topic.value.__name__}{e}" for e in ("MessagePack", "JSON")}
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft7Validator.check_schema(schema)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_an_example_validates_against_both_schemas(topic):
    name = topic.value.__name__
    example = json.loads(encode(EXAMPLES[name], "json"))
    schema = json.loads((generator.DIRECTORY / "json" / f"{name}.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(example)
    document = generator.asyncapi()
    draft_07 = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    jsonschema.Draft7Validator(draft_07).validate(example)
    required = next(iter(schema["$defs"][name]["required"]))
    del example[required]
    assert not jsonschema.Draft202012Validator(schema).is_valid(example)
    assert not jsonschema.Draft7Validator(draft_07).is_valid(example)
