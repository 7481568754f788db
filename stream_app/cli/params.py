"""Types of options that are more than a text or a number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from stream_app.objectives import Objectives, ObjectivesError


class Named(click.ParamType):
    """`NAME=FILE`."""

    name = "NAME=FILE"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, Path]:
        if isinstance(value, tuple):
            return value
        name, equals, path = str(value).partition("=")
        if not (name.strip() and equals and path):
            self.fail(f"{value!r} is not NAME=FILE", param, ctx)
        if "/" in name:  # lists are written to files of this name
            self.fail(f"the name {name.strip()!r} has a slash; give another", param, ctx)
        return name.strip(), Path(path)


class ObjectivesText(click.ParamType):
    """Objectives by name, with the text they were given as."""

    name = "NAME=NUMBER..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, Objectives]:
        if isinstance(value, tuple):
            return value
        try:
            return str(value).strip(), Objectives.parse(str(value))
        except ObjectivesError as error:
            self.fail(str(error), param, ctx)


class Address(click.ParamType):
    """`HOST:PORT`, as text."""

    name = "HOST:PORT"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        host, _, port = str(value).rpartition(":")
        if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
            self.fail(f"{value!r} is not HOST:PORT, such as 127.0.0.1:9464", param, ctx)
        return str(value)
