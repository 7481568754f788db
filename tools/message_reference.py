"""The reference of topics and messages, made from what is also published as JSON Schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from schemas import MAX_ID_BYTES
from schemas.contract import json_schemas
from schemas.topics import TOPICS, Topic

Schema = Mapping[str, Any]
_DAY_MS = 24 * 60 * 60 * 1000


def topics_part() -> str:
    """The table of topics."""
    lines = ["| topic | key | message | written by | kept |", "|---|---|---|---|---|"]
    for topic in TOPICS:
        name = topic.value.__name__
        lines.append(
            f"| `{topic.name}` | {_key(topic)} | [{name}](#{name.lower()}) "
            f"| {topic.written_by} | {_kept(topic)} |"
        )
    return "\n".join(lines) + "\n"


def messages_part() -> str:
    """A section for each message, and below it for what it is made of."""
    schemas, parts = json_schemas(), []
    shown: set[str] = set()
    for topic in TOPICS:
        name = topic.value.__name__
        parts += [f"## {name}\n", f"Topic `{topic.name}`, key {_key(topic)}. {topic.description}\n"]
        definitions = schemas[name]["$defs"]
        for part in [name, *(other for other in definitions if other not in {name} | shown)]:
            if part != name:
                parts.append(f"### {part}\n")
            parts.append(_fields(definitions[part]))
            shown.add(part)
        parts.append(f"JSON Schema: [{name}.json](../schemas/json/{name}.json)\n")
    return "\n".join(parts)


def _key(topic: Topic) -> str:
    return f"`{topic.key}`" if topic.key.isidentifier() else topic.key


def _kept(topic: Topic) -> str:
    if topic.cleanup_policy == "compact":
        return "the last of each key"
    assert topic.retention_ms is not None
    days = topic.retention_ms / _DAY_MS
    return f"{days:g} day{'s' * (days != 1)}" if days >= 1 else f"{days * 24:g} hour"


def _fields(schema: Schema) -> str:
    required = schema.get("required", [])
    lines = [f"{_line(schema.get('description', ''))}\n", "| field | type | default | meaning |"]
    lines.append("|---|---|---|---|")
    for name, of in schema["properties"].items():
        default = "required" if name in required else f"`{_default(of.get('default'))}`"
        meaning = _line(of.get("description", "")).replace("|", "\\|")
        lines.append(f"| `{name}` | {_kind(of)} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _kind(schema: Schema) -> str:
    """A type as a reader says it."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "prefixItems" in schema:
        return " and ".join(_kind(one) for one in schema["prefixItems"])
    if schema.get("type") == "array":
        return f"list of {_inner(schema['items'])}"
    if schema.get("type") == "object":
        return f"map to {_inner(schema['additionalProperties'])}"
    if schema.get("contentEncoding") == "base64":
        return "bytes"
    if (schema.get("minLength"), schema.get("maxLength")) == (1, MAX_ID_BYTES):
        return "id"
    return str(schema["type"]) + _bounds(schema)


def _inner(schema: Schema) -> str:
    kind = _kind(schema)
    return f"({kind})" if {"anyOf", "prefixItems"} & schema.keys() else kind


def _bounds(schema: Schema) -> str:
    low = schema.get("minLength", schema.get("minimum", 0))
    high = schema.get("maxLength", schema.get("maximum"))
    if high is None or high > 1e12:
        return ""
    unit = " characters" if "maxLength" in schema else ""
    return f", {high:,g}{unit}" if low == high else f", {low:,g} to {high:,g}{unit}"


def _default(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _line(text: str) -> str:
    return " ".join(text.split())
