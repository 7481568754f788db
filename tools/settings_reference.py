"""The reference of all settings: from stream_app/settings.py and the options of the commands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import Field, fields
from importlib import import_module
from typing import Any

import click

from stream_app.cli import COMMANDS
from stream_app.secret import Secret
from stream_app.settings import ENVIRONMENT_PREFIX, Settings, written

KINDS = {int: "whole number", float: "number", str: "text", bool: "true or false"}
CONNECTION = "bootstrap_servers"
"""Whoever takes this setting takes all that say how Kafka is reached."""
REACH = "commands that reach Kafka"


def settings_part() -> str:
    """The commands that reach Kafka, then a section for each setting in the order of its table."""
    users = commands_by_setting()
    reach = users[CONNECTION]
    sections = [
        _section(item, REACH if users[item.name] == reach else _named(users[item.name]))
        for item in fields(Settings)
    ]
    return "\n".join([f"{REACH[0].upper()}{REACH[1:]} are {_named(reach)}.\n", *sections])


def commands_by_setting() -> dict[str, list[str]]:
    """For each setting the commands with an option for it, by the option's help text.

    An option of the same name that means something else has another help text.
    """
    about = {item.name: item.metadata["about"] for item in fields(Settings)}
    users: dict[str, list[str]] = defaultdict(list)
    for name, (module, _) in sorted(COMMANDS.items()):
        for full_name, command in _commands(name, import_module(module).command):
            for option in command.params:
                text = getattr(option, "help", None) or ""
                if text.startswith(about.get(option.name or "", "\0")):
                    users[option.name or ""].append(full_name)
    return users


def _commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield name, command
        return
    for below, one in sorted(command.commands.items()):
        yield from _commands(f"{name} {below}", one)


def _section(item: Field[Any], users: str) -> str:
    secret = isinstance(item.default, Secret)
    about = item.metadata["about"]
    places = [f"environment `{ENVIRONMENT_PREFIX}{item.name.upper()}`"]
    if not secret:
        value = f'"{item.default}"' if isinstance(item.default, str) else written(item.default)
        places = [
            f"flag `--{item.name.replace('_', '-')}`",
            *places,
            f"TOML `{item.name} = {value}`",
        ]
    default = f"`{written(item.default)}`" if str(item.default) else "empty"
    kind = "secret" if secret else KINDS[type(item.default)]
    return (
        f"### `{item.name}`\n\n{about[0].upper()}{about[1:]}.\n\n"
        f"- {kind}; default: {default}\n- {', '.join(places)}\n- taken by {users}\n"
    )


def _named(commands: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in commands)
