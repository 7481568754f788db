"""Experiments as operators write them, checked and put beside the others."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from schemas import Arm, ExperimentSpec, RejectedMessage, decode_experiment, encode
from stream_app.errors import UserError

NO_MODEL = (
    "name the release that makes the lists of an arm as `release`, `name@version`; workers must "
    "serve it as one of their challengers"
)
_TINY = 1e-9


def find(held: Mapping[str, ExperimentSpec], name: str) -> ExperimentSpec:
    """The experiment of a name. Raises UserError, which says what there is."""
    if name not in held:
        there = ", ".join(sorted(held)) or "none"
        raise UserError(f"there is no experiment {name!r}; there is: {there}")
    return held[name]


def parse(
    fields: Mapping[str, object], held: Mapping[str, ExperimentSpec], now_ms: int
) -> ExperimentSpec:
    """An experiment as an operator wrote it, ready to be published beside those that are `held`.

    Where `fields` say nothing of its place among users, its beginning and its arms that are off,
    what a former version of the same name says holds, unless it has ended. Otherwise it begins now
    (`now_ms`, Unix ms), in the first stretch of users that is free. Raises UserError.
    """
    try:
        _refuse_unknown(fields)
        spec = msgspec.convert(fields, ExperimentSpec)
    except msgspec.MsgspecError as error:
        raise UserError(f"this is no experiment: {error}") from None
    old = held.get(spec.name)
    if old is not None and old.until_ms is not None and old.until_ms <= now_ms:
        old = None  # it has ended: this is another one
    given: dict[str, object] = {}
    if "from_ms" not in fields:
        given["from_ms"] = now_ms if old is None or old.from_ms is None else old.from_ms
    if "off" not in fields and old is not None:
        given["off"] = tuple(name for name in old.off if name in {arm.name for arm in spec.arms})
    spec = msgspec.structs.replace(spec, **given)
    others = [one for name, one in held.items() if name != spec.name and _overlaps(one, spec)]
    if "start" not in fields:
        spec = msgspec.structs.replace(spec, start=_start(spec, old, others))
    try:
        decode_experiment(encode(spec), key=spec.name.encode())
    except RejectedMessage as error:
        raise UserError(f"this is no experiment: {error.detail}") from None
    for other in others:
        if not _free([other], spec.start, spec.share):
            raise UserError(
                f"experiment {other.name!r} has some of these users: those from {other.start:g} to "
                f"{other.start + other.share:g}; give another start, or none"
            )
    return spec


def _refuse_unknown(fields: Mapping[str, object]) -> None:
    """Readers of the topic ignore fields that they do not know; who writes one means something."""
    arms = fields.get("arms")
    parts: list[tuple[str, Mapping[str, object], tuple[str, ...]]] = [
        ("", fields, ExperimentSpec.__struct_fields__)
    ]
    for number, arm in enumerate(arms if isinstance(arms, list) else ()):
        if isinstance(arm, dict):
            parts.append((f"arms[{number}].", arm, Arm.__struct_fields__))
    for where, given, known in parts:
        for name in given:
            if name not in known:
                why = NO_MODEL if name == "model" else f"known are {', '.join(known)}"
                raise UserError(f"`{where}{name}` is no field of an experiment: {why}")


def _overlaps(one: ExperimentSpec, other: ExperimentSpec) -> bool:
    """Whether there is a time at which both run."""
    return all(
        before.until_ms is None or (after.from_ms or 0) < before.until_ms
        for before, after in ((one, other), (other, one))
    )


def _start(spec: ExperimentSpec, old: ExperimentSpec | None, others: list[ExperimentSpec]) -> float:
    """Where it fits: as before if it does, or in the first stretch that is free."""
    wanted = [old.start] if old is not None else []
    for start in (*wanted, 0.0, *sorted(one.start + one.share for one in others)):
        if _free(others, start, spec.share):
            return start
    taken = ", ".join(
        f"{one.name} {one.start:g} to {one.start + one.share:g}"
        for one in sorted(others, key=lambda one: one.start)
    )
    raise UserError(
        f"no stretch of {spec.share:g} of the users is free; taken: {taken}. End an experiment, or "
        "give a smaller share"
    )


def _free(others: list[ExperimentSpec], start: float, share: float) -> bool:
    """Whether the users from there on are there, and nobody has them."""
    end = start + share
    return end <= 1 + _TINY and all(
        end <= one.start + _TINY or one.start + one.share <= start + _TINY for one in others
    )
