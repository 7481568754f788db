"""What a container is told, checked against the code: its command line and its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

import click

from stream_app.cli import group
from stream_app.errors import UserError
from stream_app.settings import ENVIRONMENT_PREFIX, Settings

CONNECTION = ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_key_password_file",
              "sasl_password_file", "sasl_token_file")  # fmt: skip
SERVING = ("bundle", "bundle_public_key", "text_encoder")
"""Settings that name what must be there: for every command, and for workers."""
IN_THE_IMAGE = "/opt/movielens/"
"""Where the image `demo` has its data and bundle."""


def command_problems(arguments: Sequence[str]) -> list[str]:
    """Why `stream-app` would not understand these arguments."""
    command: click.Command = group
    rest = list(arguments)
    try:
        while isinstance(command, click.Group):
            if not rest:
                return [f"{arguments}: no command"]
            with click.Context(command) as context:
                found = command.get_command(context, rest[0])
            if found is None:
                return [f"{arguments}: there is no command {rest[0]!r}"]
            command, rest = found, rest[1:]
        command.make_context("stream-app", rest)
    except click.ClickException as error:
        return [f"{arguments}: {error.format_message()}"]
    return []


def settings_of(environment: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """The settings that a container gets, and what is wrong with them."""
    known = {ENVIRONMENT_PREFIX + item.name.upper() for item in fields(Settings)}
    unknown = [
        f"{name} is no setting"
        for name in environment
        if name.startswith(ENVIRONMENT_PREFIX) and name not in known
    ]
    try:
        return Settings.load({}, environment=environment), unknown
    except UserError as error:
        return Settings(), [*unknown, str(error)]


def path_problems(settings: Settings, mounts: Sequence[str], *, worker: bool) -> list[str]:
    """Settings that name what no volume and no image brings; and state that cannot be written."""
    places = (*[mount.rstrip("/") + "/" for mount in mounts], IN_THE_IMAGE)
    names = [*CONNECTION, *(SERVING if worker else ())]
    if worker and settings.state_store == "rocksdb":
        names.append("state_dir")
    return [
        f"{name} is {path}, where nothing is mounted"
        for name in names
        if (path := getattr(settings, name)) and not f"{path}/".startswith(places)
    ]


def option(arguments: Sequence[str], name: str) -> str:
    """The value of an option of a command line, which must have it."""
    return arguments[list(arguments).index(name) + 1]
