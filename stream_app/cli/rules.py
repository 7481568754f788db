"""`stream-app rules`: what to pin, boost, bury, exclude or limit in lists, while workers run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from schemas import RULES, Rule, decode_rule
from stream_app.cli import control
from stream_app.cli.options import (
    check_id,
    connection_options,
    echo,
    echo_json,
    json_option,
    settings_from,
)
from stream_app.errors import UserError
from stream_app.rules import LiveRule, RuleError

FILES = click.argument(
    "files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path)
)


@click.group()
def command() -> None:
    """Pin, boost, bury, exclude or limit items in lists, without a restart (docs/rules.md)."""


@command.command()
@FILES
@json_option
def check(files: tuple[Path, ...], as_json: bool) -> None:
    """Say whether workers would take up the rules of FILES (TOML or JSON); needs no Kafka."""
    rules = [rule for _, rule in _read(files)]
    said = [
        f"{file}: rule {rule.rule_id} is valid: {_about(rule)}"
        for file, rule in zip(files, rules, strict=True)
    ]
    echo(as_json, {"valid": rules}, "\n".join(said))


@command.command()
@connection_options
@FILES
@json_option
def put(config: Path | None, files: tuple[Path, ...], as_json: bool, **flags: Any) -> None:
    """Check and publish the rule of each of FILES (TOML or JSON), in place of the one before it.

    Nothing is published unless all of them are valid.
    """
    settings = settings_from(config, **flags)
    said = _read(files)
    control.send(settings, RULES, said)
    text = "\n".join(f"rule {name}: published, {_about(rule)}" for name, rule in said)
    echo(as_json, {"published": [rule for _, rule in said]}, text)


@command.command("list")
@connection_options
@json_option
def list_command(config: Path | None, as_json: bool, **flags: Any) -> None:
    """Print the rules that are published, one JSON object a line, and what is wrong with any.

    With --json all of it is one document.
    """
    found, wrong = control.current(settings_from(config, **flags), RULES, decode_rule)
    for name, rule in sorted(found.items()):
        try:
            LiveRule(rule)
        except RuleError as error:
            wrong.append(f"{name}: {error}")
    if as_json:
        echo_json({"rules": [rule for _, rule in sorted(found.items())], "refused": wrong})
        return
    for _, rule in sorted(found.items()):
        echo_json(rule)
    for problem in wrong:
        click.echo(f"refused by workers: {problem}", err=True)


@command.command()
@connection_options
@click.argument("rule_ids", nargs=-1, required=True)
@json_option
def withdraw(config: Path | None, rule_ids: tuple[str, ...], as_json: bool, **flags: Any) -> None:
    """Withdraw rules: lists are made without them."""
    settings = settings_from(config, **flags)
    for rule_id in rule_ids:
        check_id("RULE_ID", rule_id)
    control.send(settings, RULES, ((rule_id, None) for rule_id in rule_ids))
    text = "\n".join(f"rule {rule_id}: withdrawn" for rule_id in rule_ids)
    echo(as_json, {"withdrawn": rule_ids}, text)


def _read(files: Sequence[Path]) -> list[tuple[str, Rule]]:
    """The rules of files; raises UserError for the first that no worker would take up."""
    said = control.read_files(files, decode_rule, "rule_id")
    for file, (name, rule) in zip(files, said, strict=True):
        try:
            LiveRule(rule)
        except RuleError as error:
            raise UserError(f"{file}: rule {name}: {error}") from None
    return said


def _about(rule: Rule) -> str:
    (effect,) = rule.effects
    value = getattr(rule, effect)
    what = effect if value is True else f"{effect} {value:g}"
    return what if rule.when is None else f"{what}, for some lists"
