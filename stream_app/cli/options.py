"""Options made from the table of settings: for a worker all of them, for others where Kafka is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from schemas import MAX_ID_BYTES
from schemas.messages import Context
from stream_app import access
from stream_app.errors import UserError
from stream_app.observability.logging import announce
from stream_app.secret import Secret
from stream_app.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])

CONNECTION = (
    "bootstrap_servers", "security_protocol", *access.TLS_FILES, *access.SASL_SETTINGS,
    "app_id", "topic_prefix",
)  # fmt: skip

SERVING = (
    "bundle", "bundle_public_key", "backend", "precision", "index", "list_length", "filters",
    "diversity", "popularity_discount", "action_values",
)  # fmt: skip
"""What makes a worker's lists be as they are."""


def connection_options(command: Command) -> Command:
    """Add `--config` and the options that every command with a Kafka client has."""
    return _with_options(command, CONNECTION)


def connection_flags(command: Command) -> Command:
    """Add the options of `connection_options` without `--config`, which means something else."""
    return _flags(command, CONNECTION)


def serving_options(command: Command) -> Command:
    """Add `--config` and the options that say where Kafka is and how lists are made."""
    return _with_options(command, (*CONNECTION, *SERVING))


def metrics_options(command: Command) -> Command:
    """Add `--config` and the options that say where a worker's metrics and health port is."""
    return _with_options(command, ("metrics_host", "metrics_port"))


def trace_options(command: Command) -> Command:
    """Add the options that say what is traced, and where spans go."""
    return _flags(command, ("trace_endpoint", "trace_sample"))


def log_options(command: Command) -> Command:
    """Add the options that say what is logged, and how."""
    return _flags(command, ("log_level", "log_format"))


def worker_options(command: Command) -> Command:
    """Add `--config` and an option for every setting."""
    return _with_options(command, [item.name for item in fields(Settings)])


def json_option(command: Command) -> Command:
    """Add `--json`, which gives the command the argument `as_json`."""
    about = "Print one JSON document instead of text."
    return click.option("--json", "as_json", is_flag=True, help=about)(command)


def echo_json(value: Any) -> None:
    """Print anything that msgspec can encode as one line of JSON."""
    click.echo(msgspec.json.encode(value).decode())


def echo(as_json: bool, value: Any, text: str) -> None:
    """Print a result as JSON or as text."""
    if as_json:
        echo_json(value)
    else:
        click.echo(text)


@contextmanager
def meanwhile(as_json: bool) -> Iterator[None]:
    """With JSON, what the block prints goes to stderr: stdout is for the document alone."""
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        yield


def settings_from(config: Path | None, **flags: Any) -> Settings:
    """Settings from flags, environment and file. Raises `SettingsError`."""
    if (style := flags.get("log_format")) is not None:
        announce(style)
    return Settings.load(flags, file=config)


def parse_context(pairs: Sequence[str]) -> Context:
    """`name=value` pairs as a request's context; raises UserError."""
    context: Context = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise UserError(f"--context {pair!r}: write NAME=VALUE")
        context[name] = value
    return context


def check_id(name: str, value: str) -> None:
    """Raise UserError unless the argument called `name` is an id that a message may have."""
    raw = value.encode(errors="replace")
    if raw.decode() != value:
        raise UserError(f"{name} is not UTF-8, which every id is")
    if not 1 <= len(raw) <= MAX_ID_BYTES:
        raise UserError(f"{name} has {len(raw)} bytes; 1 to {MAX_ID_BYTES} are valid")


def _with_options(command: Command, names: Collection[str]) -> Command:
    config = click.option("--config", type=click.Path(path_type=Path), help="TOML settings file.")
    return config(_flags(command, names))


def _flags(command: Command, names: Collection[str]) -> Command:
    # The flag itself has no default: not given means that environment and file decide.
    for item in reversed([item for item in fields(Settings) if item.name in names]):
        secret = isinstance(item.default, Secret)
        shown = item.default if str(item.default) else "empty"
        command = click.option(
            f"--{item.name.replace('_', '-')}",
            type=str if secret else type(item.default),
            help=f"{item.metadata['about']}  [default: {shown}]",
            hidden=secret,  # there only to be refused with the reason
        )(command)
    return command
