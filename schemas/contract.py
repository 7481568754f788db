"""Generate the machine-readable contract: `asyncapi.yaml` and one JSON Schema per message type.

The structs and the topic list are the source; the files are committed, and a test keeps them
current. AsyncAPI 3.0.0 with the Kafka bindings 0.5.0; JSON Schema draft 2020-12.
"""

from __future__ import annotations

import ast
import inspect
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import yaml

from schemas.topics import DEFAULT_PARTITIONS, TOPICS, Topic

CONTRACT_VERSION = "0.1.0"
DIRECTORY = Path(__file__).parent

_BINDING = "0.5.0"
_ENCODINGS = {"MessagePack": "application/vnd.msgpack", "JSON": "application/json"}
_ABOUT = """\
What a producer writes and a subscriber reads. Values are MessagePack maps; JSON objects with the
same fields are accepted on every source topic, and the output encoding is a setting. Record keys
are UTF-8 and choose the partition with murmur2, the default of Java and aiokafka producers
(librdkafka: `partitioner=murmur2_random`). Topic names may carry the deployment's prefix.
Identifiers are 1 to 256 bytes of UTF-8. Unknown fields are ignored; fields are only ever added.
"""

Document = dict[str, Any]


def contract_files() -> dict[str, str]:
    """Every generated file: path relative to `schemas/` -> content, byte for byte stable."""
    files = {"asyncapi.yaml": _yaml(asyncapi())}
    for name, schema in json_schemas().items():
        files[f"json/{name}.json"] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    return files


def write_contract(directory: Path = DIRECTORY) -> list[Path]:
    """Write the contract under `directory`; returns the paths."""
    written = []
    for name, content in contract_files().items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="\n")
        written.append(path)
    return written


def stale_files(directory: Path = DIRECTORY) -> list[str]:
    """Names of generated files under `directory` that differ, are missing or are left over."""
    expected = contract_files()
    stale = [
        name
        for name, content in expected.items()
        if not (directory / name).is_file()
        or (directory / name).read_bytes() != content.encode("utf-8")
    ]
    present = {f"json/{path.name}" for path in (directory / "json").glob("*.json")}
    return sorted(stale + list(present - expected.keys()))


def json_schemas() -> dict[str, Document]:
    """One self-contained draft 2020-12 schema per message type, by type name."""
    schemas = {}
    for topic in TOPICS:
        name = topic.value.__name__
        (reference,), components = msgspec.json.schema_components([topic.value])
        schemas[name] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:stream-app:message:{name}",
            **reference,
            "$defs": _described(components, [topic.value]),
        }
    return schemas


def asyncapi() -> Document:
    """The AsyncAPI document of all topics."""
    kinds = [topic.value for topic in TOPICS]
    _, components = msgspec.json.schema_components(
        kinds, ref_template="#/components/schemas/{name}"
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "stream-app",
            "version": CONTRACT_VERSION,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": _ENCODINGS["MessagePack"],
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {_operation_name(topic): _operation(topic) for topic in TOPICS},
        "components": {
            "messages": {name: body for topic in TOPICS for name, body in _messages(topic).items()},
            "schemas": _as_draft_07(_described(components, kinds)),
        },
    }


def _channel(topic: Topic) -> Document:
    settings: Document = {
        "cleanup.policy": [topic.cleanup_policy],
        "retention.ms": -1 if topic.retention_ms is None else topic.retention_ms,
    }
    if topic.tombstones_ms is not None:
        settings["delete.retention.ms"] = topic.tombstones_ms
    return {
        "address": topic.name,
        "description": topic.description,
        "messages": {name: _ref("components/messages", name) for name in _messages(topic)},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": DEFAULT_PARTITIONS,
                "topicConfiguration": settings,
                "bindingVersion": _BINDING,
            }
        },
    }


def _operation_name(topic: Topic) -> str:
    verb = "receive" if topic.written_by == "producers" else "send"
    return verb + "".join(word.title() for word in topic.name.split("-"))


def _operation(topic: Topic) -> Document:
    return {
        "action": "receive" if topic.written_by == "producers" else "send",
        "channel": _ref("channels", topic.name),
        "messages": [_ref(f"channels/{topic.name}/messages", name) for name in _messages(topic)],
    }


def _messages(topic: Topic) -> dict[str, Document]:
    kind = topic.value.__name__
    return {
        f"{kind}{encoding}": {
            "name": kind,
            "title": f"{kind} as {encoding}",
            "contentType": content_type,
            "payload": _ref("components/schemas", kind),
            "bindings": {
                "kafka": {
                    "key": {"type": "string", "description": topic.key},
                    "bindingVersion": _BINDING,
                }
            },
        }
        for encoding, content_type in _ENCODINGS.items()
    }


def _ref(where: str, name: str) -> Document:
    return {"$ref": f"#/{where}/{name}"}


def _described(components: dict[str, Document], kinds: list[type[msgspec.Struct]]) -> Document:
    """Add the docstrings under the fields of the structs as their descriptions."""
    known: dict[str, type] = {}
    for module in {kind.__module__ for kind in kinds}:
        known |= vars(import_module(module))
    for name, schema in components.items():
        for field, text in _field_docs(known[name]).items():
            schema["properties"][field]["description"] = text
    return dict(sorted(components.items()))


def _field_docs(kind: type) -> dict[str, str]:
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base.__module__ != kind.__module__:
            continue
        (definition,) = ast.parse(inspect.getsource(base)).body
        assert isinstance(definition, ast.ClassDef)
        for field, text in zip(definition.body, definition.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                docs[ast.unparse(field.target)] = inspect.cleandoc(ast.literal_eval(text.value))
    return docs


def _as_draft_07(schema: Any) -> Any:
    """AsyncAPI's own schema dialect is draft 07, which spells tuples another way."""
    if isinstance(schema, list):
        return [_as_draft_07(value) for value in schema]
    if not isinstance(schema, dict):
        return schema
    converted = {key: _as_draft_07(value) for key, value in schema.items()}
    if "prefixItems" in converted:
        converted["additionalItems"] = converted.get("items", True)
        converted["items"] = converted.pop("prefixItems")
    return converted


class _Dumper(yaml.SafeDumper):
    """Repeats equal values instead of aliasing them, and keeps long texts as blocks."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _yaml(document: Document) -> str:
    header = "# Generated by `stream-app schemas generate` from the structs in schemas/.\n"
    body = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return header + body
