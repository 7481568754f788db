"""`stream-app experiment`: put, list, end, report on and guard experiments."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import click
import msgspec

from schemas import (
    EVENTS,
    EXPERIMENTS,
    POPULAR,
    SCENARIOS,
    ExperimentSpec,
    control_of,
    decode_experiment,
    decode_scenario,
)
from stream_app.attribution import Window
from stream_app.attribution.clusters import in_percent
from stream_app.attribution.read import joined
from stream_app.cli import control
from stream_app.cli.delivery import kafka_errors
from stream_app.cli.options import connection_options, echo, json_option, settings_from
from stream_app.durations import parse_duration
from stream_app.errors import UserError
from stream_app.experiments import is_running
from stream_app.experiments.guard import Limit, Verdict, judge, window_of
from stream_app.experiments.report import METRICS, Arms, ExperimentReport
from stream_app.experiments.written import find, parse
from stream_app.settings import Settings
from stream_app.verify.scope import parse_since


@click.group()
def command() -> None:
    """Compare ways of making lists, each on a share of the users (docs/experiments.md)."""


@command.command()
@connection_options
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
def put(config: Path | None, file: Path, as_json: bool, **flags: Any) -> None:
    """Begin or change the experiment in FILE (TOML or JSON), at once.

    What FILE does not say of beginning, place and arms that are off stays as it was.
    """
    settings = settings_from(config, **flags)
    now_ms = _now_ms()
    try:
        spec = parse(control.fields_of(file), _held(settings), now_ms)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    known = {POPULAR, EVENTS, *control.current(settings, SCENARIOS, decode_scenario)[0]}
    for arm in spec.arms:
        if arm.scenario is not None and arm.scenario not in known:
            raise UserError(
                f"{file}: arm {arm.name!r}: there is no scenario {arm.scenario!r}; there is: "
                f"{', '.join(sorted(known))}"
            )
    control.send(settings, EXPERIMENTS, [(spec.name, spec)])
    echo(as_json, spec, describe(spec, now_ms))


@command.command(name="list")
@connection_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(config: Path | None, as_json: bool, **flags: Any) -> None:
    """Show the experiments that are on the topic."""
    settings = settings_from(config, **flags)
    specs = [spec for _, spec in sorted(_held(settings).items())]
    if as_json:
        click.echo(msgspec.json.encode(specs).decode())
    else:
        click.echo("\n".join(describe(spec, _now_ms()) for spec in specs) or "no experiments")


@command.command()
@connection_options
@click.argument("name")
@click.option("--forget", is_flag=True, help="Remove it: no report can be made any more.")
@json_option
def end(config: Path | None, name: str, forget: bool, as_json: bool, **flags: Any) -> None:
    """End the experiment NAME now: everybody is served as everyone again."""
    settings = settings_from(config, **flags)
    spec, now_ms = find(_held(settings), name), _now_ms()
    if forget:
        control.send(settings, EXPERIMENTS, [(name, None)])
    elif spec.from_ms is not None and spec.from_ms >= now_ms:
        raise UserError(f"experiment {name!r} has not begun; remove it with --forget")
    elif spec.until_ms is None or spec.until_ms > now_ms:
        ended = msgspec.structs.replace(spec, until_ms=now_ms)
        control.send(settings, EXPERIMENTS, [(name, ended)])
    outcome = "removed" if forget else "ended"
    echo(as_json, {"experiment": name, "outcome": outcome}, f"{name} is {outcome}")


@command.command()
@connection_options
@click.argument("name")
@click.option("--since", help="Lists from then on: 90m, 2h, 7d ago, Unix ms or ISO 8601.  "
              "[default: the beginning]")  # fmt: skip
@click.option("--until", help="Lists before then; now by default.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def report(
    config: Path | None,
    name: str,
    since: str | None,
    until: str | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Say what the arms of NAME are worth: rates, and differences to the control."""
    settings = settings_from(config, **flags)
    spec, now_ms = find(_held(settings), name), _now_ms()
    since_ms = (spec.from_ms or 0) if since is None else parse_since(since, now_ms)
    until_ms = now_ms if until is None else parse_since(until, now_ms)
    if since_ms >= until_ms:
        raise UserError(f"there is no time from {since or 'its beginning'} to {until or 'now'}")
    found = _arms(settings, spec, Window(since_ms, until_ms)).report(since_ms, until_ms)
    click.echo(msgspec.json.encode(found).decode() if as_json else as_text(found))


@command.command()
@connection_options
@click.argument("name")
@click.option("--metric", type=click.Choice(sorted(METRICS)), default="click", show_default=True,
              help="Rate that is watched.")  # fmt: skip
@click.option("--below", type=click.FloatRange(-1, 0), default=0.0, show_default=True,
              help="An arm goes when its difference to the control is surely lower.")  # fmt: skip
@click.option("--alpha", type=click.FloatRange(1e-9, 0.5), default=0.05, show_default=True,
              help="Probability that a harmless arm ever goes.")  # fmt: skip
@click.option("--scale", type=click.FloatRange(1e-6, 1), default=0.01, show_default=True,
              help="Size of the differences that are looked for.")  # fmt: skip
@click.option("--window", default="1d", show_default=True,
              help="Lists that are judged together, from the beginning on: 12h, 7d.")  # fmt: skip
@click.option("--min-users", type=click.IntRange(2), default=100, show_default=True,
              help="Of an arm and of the control, before anything is decided.")  # fmt: skip
@click.option("--every", default="60s", show_default=True, help="Time between two looks.")
@click.option("--once", is_flag=True, help="Look once, and exit with 0.")
@click.option("--json", "as_json", is_flag=True, help="Print verdicts as JSON lines.")
def guard(
    config: Path | None,
    name: str,
    metric: str,
    below: float,
    alpha: float,
    scale: float,
    window: str,
    min_users: int,
    every: str,
    once: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Switch arms of NAME off that do harm, until it is over; their users go to the control."""
    settings = settings_from(config, **flags)
    limit = Limit(metric=metric, below=below, alpha=alpha, scale=scale,
                  window_ms=_duration("window", window), min_users=min_users)  # fmt: skip
    pause_s = _duration("every", every) / 1000
    while True:
        verdicts = look(settings, name, limit, _now_ms())
        for verdict in verdicts or ():
            click.echo(msgspec.json.encode(verdict).decode() if as_json else verdict.sentence)
        if verdicts is None:
            click.echo(f"{name} does not run now", err=True)
        if verdicts is None or once:
            return
        time.sleep(pause_s)


def look(settings: Settings, name: str, limit: Limit, now_ms: int) -> list[Verdict] | None:
    """Judge the arms at a time (Unix ms), and switch off those that have to go; None if the
    experiment does not run then."""
    spec = find(_held(settings), name)
    window = window_of(spec, limit, now_ms)
    if window is None:
        return None
    arms = _arms(settings, spec, Window(window.since_ms, now_ms))
    verdicts = judge(spec, arms, limit, window)
    gone = {verdict.arm for verdict in verdicts if verdict.off}
    if gone:
        # As it is now: an operator may have changed it while the lists were read.
        newest = find(_held(settings), name)
        off = (*newest.off, *sorted(gone - set(newest.off)))
        if control_of(newest) == control_of(spec) and gone <= {arm.name for arm in newest.arms}:
            control.send(settings, EXPERIMENTS, [(name, msgspec.structs.replace(newest, off=off))])
    return verdicts


def _held(settings: Settings) -> dict[str, ExperimentSpec]:
    return control.current(settings, EXPERIMENTS, decode_experiment)[0]


def _arms(settings: Settings, spec: ExperimentSpec, window: Window) -> Arms:
    arms = Arms(spec)

    async def run() -> None:
        async for part in joined(settings, window):
            arms.add(part.join.by_user())

    with kafka_errors("the topics could not be read"):
        asyncio.run(run())
    return arms


def describe(spec: ExperimentSpec, now_ms: int) -> str:
    """An experiment in one line."""
    if is_running(spec, now_ms):
        state = "running"
    else:
        state = "ended" if spec.until_ms is not None and spec.until_ms <= now_ms else "waiting"
    arms = []
    for arm in spec.arms:
        marks = ["control"] if arm.name == control_of(spec) else []
        marks += ["off"] if arm.name in spec.off else []
        marks += [f"scenario {arm.scenario}"] if arm.scenario else []
        arms.append(f"{arm.name} {arm.share:.0%}" + (f" ({', '.join(marks)})" if marks else ""))
    return (
        f"{spec.name}: {state}, users {spec.start:g} to {spec.start + spec.share:g}, lists of "
        f"{spec.lists}; {'; '.join(arms)}"
    )


def as_text(found: ExperimentReport) -> str:
    """The report as a table and sentences."""
    lines = [f"{found.name}: rates per item {found.per}"]
    width = max(len(arm.name) for arm in found.arms)
    lines.append(f"{'':{width}}  {'users':>7}  {found.per:>9}  {'clicked':>8}  {'bought':>7}  "
                 f"{'click rate':>22}  {'purchase rate':>22}")  # fmt: skip
    for arm in found.arms:
        per = arm.shown if found.per == "shown" else arm.made
        lines.append(f"{arm.name:{width}}  {arm.users:7,}  {per:9,}  {arm.clicked:8,}  "
                     f"{arm.bought:7,}  {in_percent(arm.click_rate):>22}  "
                     f"{in_percent(arm.purchase_rate):>22}")  # fmt: skip
    for arm in found.arms:
        made = filter(None, (arm.click_difference, arm.purchase_difference))
        lines += [one.sentence for one in made]
    lines += [f"warning: {warning}" for warning in found.warnings]
    return "\n".join(lines)


def _duration(name: str, text: str) -> int:
    found = parse_duration(text)
    if not found:
        raise UserError(f"--{name} is {text!r}; write a duration such as 90s, 15m, 12h or 7d")
    return found


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
