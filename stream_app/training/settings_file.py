"""Training settings from a file and from flags, both made from the fields of `training.config`.

A flag wins over the file, which wins over the default. What a field does is said once, in the
docstring under it: `stream-app train --help`, `--print-config` and the table of docs/training.md
are made from there. Needs no torch.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import json
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from stream_app.training.config import TrainingConfig, TrainingError

DERIVED = ("model.features",)  # follows from the code that makes features: nothing to choose
LIMITS: Mapping[str, tuple[float, float]] = {
    "epochs": (1, 100_000),
    "patience": (1, 100_000),
    "learning_rate": (1e-8, 10),
    "weight_decay": (0, 10),
    "warmup": (0, 1_000_000),
    "ema_decay": (0, 0.999_999),
    "temperature": (0.01, 1),
    "window": (2, 100_000),
    "batch_tokens": (1, 10_000_000),
    "reach": (1, 1000),
    "negatives": (0, 1_000_000),
    "item_dropout": (0, 0.9),
    "action_loss": (0, 100),
    "min_count": (1, 1_000_000),
    "delta_max": (0, 100),
    "id_dropout": (0, 0.9),
    "text_rank": (2, 8192),
    "seed": (0, 2**32 - 1),
    "model.dim": (2, 1024),
    "model.width": (2, 4096),
    "model.blocks": (1, 16),
    "model.heads": (1, 64),
    "model.context": (1, 100),
    "model.expansion": (1, 16),
    "model.dropout": (0, 0.9),
}
KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


@dataclass(frozen=True)
class Setting:
    """One field of the configuration."""

    key: str
    """Where it stands in a file: `epochs`, or `model.dim` for `dim` in the table `model`."""
    kind: type
    default: Any
    about: str

    @property
    def name(self) -> str:
        """The name of the field."""
        return self.key.rpartition(".")[2]

    @property
    def flag(self) -> str:
        """The option of the command line."""
        return "--" + self.name.replace("_", "-")

    def checked(self, value: Any, origin: str) -> Any:
        """`value` as the field takes it. Raises `TrainingError` naming `origin`."""
        if self.kind is float and type(value) is int:
            value = float(value)
        if type(value) is not self.kind:
            raise TrainingError(f"{origin}: {self.key} must be {KINDS[self.kind]}, not {value!r}")
        if isinstance(value, int | float):
            low, high = LIMITS.get(self.key, (-sys.float_info.max, sys.float_info.max))
            if not low <= value <= high:
                raise TrainingError(
                    f"{origin}: {self.key} is {value}; it must be from {low:g} to {high:g}"
                )
        return value


@cache
def training_settings() -> tuple[Setting, ...]:
    """All settings, in the order of `training.config`; those of the model come last."""
    found = [*_settings_of(TrainingConfig)]
    return tuple(sorted(found, key=lambda one: "." in one.key))


def load_config(file: Path | None, flags: Mapping[str, Any]) -> TrainingConfig:
    """The configuration from a file and from flags by field name; a flag of None is not given.

    Raises `TrainingError` for what is unknown, has the wrong type, or cannot be read.
    """
    values = {} if file is None else _read(file)
    for setting in training_settings():
        if (value := flags.get(setting.name)) is not None:
            values[setting.key] = setting.checked(value, setting.flag)
    made: TrainingConfig = _made(TrainingConfig, values)
    return made


def as_toml(config: TrainingConfig) -> str:
    """A configuration as a TOML file with a comment on every setting."""
    lines: list[str] = []
    table = ""
    for setting in training_settings():
        prefix = setting.key.rpartition(".")[0]
        if prefix != table:
            table = prefix
            lines.append(f"[{table}]")
        value = config
        for name in setting.key.split("."):
            value = getattr(value, name)
        lines += [f"# {line}" for line in textwrap.wrap(setting.about, 96)]
        lines += [f"{setting.name} = {json.dumps(value, ensure_ascii=False)}", ""]
    return "\n".join(lines)


def settings_table() -> str:
    """The settings as a Markdown table."""
    rows = ["| in a file | flag | default | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{one.key}` | `{one.flag}` | `{json.dumps(one.default)}` | {one.about} |"
        for one in training_settings()
    ]
    return "\n".join(rows)


def _settings_of(config: Any, prefix: str = "") -> Iterator[Setting]:
    kinds, abouts = get_type_hints(config), _docstrings(config)
    for item in fields(config):
        key, kind = prefix + item.name, kinds[item.name]
        if is_dataclass(kind):
            yield from _settings_of(kind, key + ".")
        elif key not in DERIVED:
            if kind not in KINDS:
                raise TypeError(f"{config.__name__}.{item.name}: {kind} is no type of a setting")
            yield Setting(key, kind, _default(item), abouts[item.name])


def _default(item: Field[Any]) -> Any:
    return item.default if item.default_factory is MISSING else item.default_factory()


def _docstrings(config: type) -> dict[str, str]:
    """The docstring under each field, on one line."""
    (tree,) = ast.parse(inspect.getsource(config)).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, below in zip(tree.body, tree.body[1:], strict=False):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[field.target.id] = " ".join(str(below.value.value).split())
    return found


def _read(file: Path) -> dict[str, Any]:
    """Values of a file by key."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise TrainingError(f"{file}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError as error:
        raise TrainingError(f"{file}: not UTF-8 ({error})") from None
    given = _parse_yaml(file, text) if file.suffix in (".yaml", ".yml") else _parse(file, text)
    known = {setting.key: setting for setting in training_settings()}
    values = {}
    for key, value in _flat(given):
        if (setting := known.get(key)) is None:
            raise TrainingError(f"{file}: unknown setting {key!r}{_nearest(key, known)}")
        values[key] = setting.checked(value, str(file))
    return values


def _parse(file: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TrainingError(f"{file}: not valid TOML: {error}") from None


def _parse_yaml(file: Path, text: str) -> dict[str, Any]:
    try:
        import yaml
    except ImportError:
        raise TrainingError(
            f"{file}: reading YAML needs PyYAML: pip install pyyaml, or write the file as TOML"
        ) from None
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise TrainingError(f"{file}: not valid YAML: {error}") from None
    if not isinstance(given or {}, dict):
        raise TrainingError(f"{file}: expected settings by name, as in `epochs: 40`")
    return given or {}


def _flat(given: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in given.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _nearest(key: str, known: Mapping[str, Setting]) -> str:
    """Which setting was probably meant: also one in, or not in, the table `model`."""
    names = {setting.name: setting.key for setting in known.values()}
    name = key.rpartition(".")[2]
    if name in names:
        return f"; it is called {names[name]!r}"
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {names[near[0]]!r}?" if near else ""
    return f"{hint} (stream-app train --print-config shows all)"


def _made(config: type, values: Mapping[str, Any], prefix: str = "") -> Any:
    kinds, given = get_type_hints(config), {}
    for item in fields(config):
        key = prefix + item.name
        if is_dataclass(kinds[item.name]):
            given[item.name] = _made(kinds[item.name], values, key + ".")
        elif key in values:
            given[item.name] = values[key]
    return config(**given)
