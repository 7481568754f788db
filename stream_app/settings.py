"""Settings of a worker: one table of names, defaults and meanings.

A flag wins over the environment variable `STREAM_APP_<NAME>`, which wins over the TOML file,
which wins over the default. The table in the README is made from this file.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from stream_app import access
from stream_app.errors import UserError
from stream_app.objectives import Objectives, ObjectivesError
from stream_app.observability.trace_context import endpoint_problem
from stream_app.plan import EXPLORATION, Plan, PlanError, parse_sources, parse_weights
from stream_app.secret import Secret

ENVIRONMENT_PREFIX = "STREAM_APP_"
_SERVER = re.compile(r"\s*([^:\s\[\]]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}\s*")


class SettingsError(UserError, ValueError):
    """A setting has a name or a value that cannot be used."""


def _setting(default: Any, about: str) -> Any:
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that a worker can be told."""

    bootstrap_servers: str = _setting("127.0.0.1:9092", "Kafka brokers, `host:port,host:port`")
    security_protocol: str = _setting(
        "PLAINTEXT", "`PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`"
    )
    ssl_cafile: str = _setting(
        "", "PEM file of the authorities that may sign brokers' certificates; empty: the system's"
    )
    ssl_certfile: str = _setting("", "PEM file of the client's own certificate chain (mutual TLS)")
    ssl_keyfile: str = _setting("", "PEM file of its key; empty: the key is in `ssl_certfile`")
    ssl_key_password_file: str = _setting("", "file with the password of that key")
    sasl_mechanism: str = _setting(
        "", "`PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` or `OAUTHBEARER`; required by `SASL_*`"
    )
    sasl_username: str = _setting("", "user of `PLAIN` and `SCRAM`")
    sasl_password_file: str = _setting("", "file with the password of that user")
    sasl_password: Secret = _setting(  # noqa: RUF009 - a Secret cannot be changed
        Secret(), "the password itself; from the environment only, never a flag or a file of this"
    )
    sasl_token_file: str = _setting(
        "", "file with the token of `OAUTHBEARER`, read again for every connection"
    )
    app_id: str = _setting(
        "stream-app",
        "consumer group and prefix of state topics; a new id starts from nothing",
    )
    topic_prefix: str = _setting("", "put before every topic name, for example `shop1.`")
    bundle: str = _setting("", "directory of the model release to serve (required by `worker`)")
    challengers: str = _setting(
        "",
        "directories of other releases, with commas between, that arms of experiments can name",
    )
    bundle_public_key: str = _setting(
        "", "PEM file of an Ed25519 key; when set, only bundles signed with it are loaded"
    )
    backend: str = _setting(
        "auto",
        "what runs the encoder: `auto`, `onnxruntime`, `tensorrt`, `tensorrt_rtx` or `torch`",
    )
    precision: str = _setting(
        "fp32", "the graph of the bundle to run: `fp32`, or `fp16` or `int8` where it holds one"
    )
    index: str = _setting("auto", "item index: `auto` (by catalogue size), `exact` or `hnsw`")
    text_encoder: str = _setting(
        "", "directory of the text encoder of the release: new items get a vector of their text"
    )
    catalogue_room: int = _setting(
        100_000, "items that the release does not have and that may join the catalogue"
    )
    list_length: int = _setting(10, "items per recommendation, `k`")
    filters: str = _setting(
        "bought,clicked",
        "what is not recommended again: some of `bought`, `clicked`, `shown` (by impressions) and "
        "`served` (in lists after events), or empty; `clicked:30d` lets items return 30 days after "
        "the last event on them",
    )
    sources: str = _setting(
        "",
        "the most items that sources of candidates propose where it is not as usual, "
        "`similar=48 trending=0`; 0 leaves one out",
    )
    weights: str = _setting(
        "",
        "by what the release's weights of scorers are multiplied where it is not 1, "
        "`transition=0.5 popularity=2`",
    )
    exploration: float = _setting(
        EXPLORATION, "share of the lists of which one place goes to a new arrival, 0 to 1"
    )
    diversity: float = _setting(
        0.0, "nats that an item loses for being just like one above it; 0 orders by score alone"
    )
    popularity_discount: float = _setting(
        0.0, "power of an item's popularity that its score is divided by, 0 to 1"
    )
    action_values: str = _setting(
        "",
        "what events are worth by action, `purchase=5 view=0.5`; the bundle needs an action head",
    )
    decisions: float = _setting(
        0.0, "share of lists for which the topic `decisions` keeps what they were made from, 0 to 1"
    )
    output_encoding: str = _setting("msgpack", "encoding of recommendations: `msgpack` or `json`")
    batch_max: int = _setting(256, "events handled together at most; a batch never waits to fill")
    state_store: str = _setting(
        "memory", "where user rows are kept on a worker: `memory`, or `rocksdb` (extra) on disk"
    )
    state_dir: str = _setting(
        "stream-app-state", "directory of `rocksdb`, one for every worker of a machine"
    )
    user_retention_days: float = _setting(
        180.0, "days of silence after which a user's row is removed; 0 keeps all for ever"
    )
    session_timeout_s: float = _setting(
        15.0, "seconds without a heartbeat after which Kafka gives a worker's partitions away"
    )
    commit_interval_s: float = _setting(1.0, "seconds between two commits of source offsets")
    metrics_host: str = _setting("127.0.0.1", "address of the metrics and health port")
    metrics_port: int = _setting(
        9464, "port of `/metrics`, `/health/live`, `/health/ready`; 0 picks a free one"
    )
    inspector_port: int = _setting(
        0, "port of the inspector, the page that shows lists with their reasons; 0: there is none"
    )
    inspector_host: str = _setting(
        "127.0.0.1", "address of the inspector; any that is not the loopback needs a token"
    )
    inspector_token_file: str = _setting(
        "", "file with the token of who may look into the inspector, at least 16 characters"
    )
    inspector_writes: bool = _setting(
        False, "whether the inspector can send events as a user, to try what becomes of their list"
    )
    log_level: str = _setting("info", "`debug`, `info`, `warning` or `error`")
    log_format: str = _setting("text", "`text`, or `json`: one object a line, as in the images")
    log_user_ids: bool = _setting(
        False, "whether logs may name users, for debugging; else no line of any level does"
    )
    trace_endpoint: str = _setting(
        "",
        "where spans go, OTLP over HTTP, `http://collector:4318` (extra `traces`); empty: nowhere",
    )
    trace_sample: float = _setting(
        0.0, "share of events that come without a trace and get one here, 0 to 1"
    )
    start_timeout_s: float = _setting(
        60.0, "seconds that a worker may take to join its group before the watchdog ends it"
    )
    stuck_timeout_s: float = _setting(
        30.0, "seconds without progress after which the watchdog ends the process"
    )
    shutdown_timeout_s: float = _setting(
        25.0, "seconds from SIGTERM until the watchdog ends the process; below an orchestrator's"
    )

    def __post_init__(self) -> None:
        _choice(self, "output_encoding", ("msgpack", "json"))
        _choice(self, "precision", ("fp32", "fp16", "int8"))
        _choice(self, "index", ("auto", "exact", "hnsw"))
        _choice(self, "state_store", ("memory", "rocksdb"))
        _choice(self, "log_level", ("debug", "info", "warning", "error"))
        _choice(self, "log_format", ("text", "json"))
        for name, low, high in (
            ("list_length", 1, 1000),
            ("catalogue_room", 0, 10_000_000),
            ("decisions", 0, 1),
            ("trace_sample", 0, 1),
            ("batch_max", 1, 10_000),
            ("user_retention_days", 0, 36_500),
            (
                "session_timeout_s",
                6,
                90,
            ),  # Kafka refuses less, Faust more than a request timeout
            ("commit_interval_s", 0.05, 60),
            ("metrics_port", 0, 65_535),
            ("inspector_port", 0, 65_535),
            ("start_timeout_s", 5, 3600),
            ("stuck_timeout_s", 5, 3600),
            ("shutdown_timeout_s", 5, 3600),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise SettingsError(f"{name} is {value}; it must be from {low} to {high}")
        if not all(_SERVER.fullmatch(server) for server in self.bootstrap_servers.split(",")):
            raise SettingsError(
                f"bootstrap_servers is {self.bootstrap_servers!r}; write host:port,host:port"
            )
        wrong = access.problem(self) or endpoint_problem(self.trace_endpoint)
        if wrong is not None:
            raise SettingsError(wrong)
        try:
            _ = self.objectives
        except ObjectivesError as error:
            raise SettingsError(str(error)) from None
        try:
            _ = self.plan
        except PlanError as error:
            raise SettingsError(str(error)) from None

    @property
    def filter_names(self) -> tuple[str, ...]:
        """The names in `filters`."""
        return tuple(name.strip() for name in self.filters.split(",") if name.strip())

    @property
    def objectives(self) -> Objectives:
        """What lists should be good at beside the next event."""
        return Objectives(
            diversity=self.diversity,
            popularity_discount=self.popularity_discount,
            action_values=self.action_values,
        )

    @property
    def plan(self) -> Plan:
        """How lists are made where nothing else is said."""
        return Plan(
            filters=self.filter_names,
            objectives=self.objectives,
            weights=parse_weights(self.weights),
            sources=parse_sources(self.sources),
            exploration=self.exploration,
        )

    def environment(self) -> dict[str, str]:
        """Environment variables that give another process these settings, with their secrets."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            ENVIRONMENT_PREFIX + name.upper(): (
                value.reveal() if isinstance(value, Secret) else str(value)
            )
            for name, value in values.items()
        }

    @classmethod
    def load(
        cls,
        flags: Mapping[str, Any] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        file: Path | None = None,
    ) -> Settings:
        """Merge the sources; a flag of None counts as not given. Raises `SettingsError`."""
        environment = os.environ if environment is None else environment
        kinds = get_type_hints(cls)
        values: dict[str, Any] = {}
        if file is not None:
            given = _read_toml(file)
            _refuse_secrets(given, kinds, str(file))
            values |= {n: _typed(n, v, kinds, str(file)) for n, v in given.items()}
        for name in kinds:
            variable = ENVIRONMENT_PREFIX + name.upper()
            if variable in environment:
                values[name] = _typed(name, environment[variable], kinds, variable)
        flags = {name: value for name, value in (flags or {}).items() if value is not None}
        _refuse_secrets(flags, kinds, "the command line")
        for name, value in flags.items():
            values[name] = _typed(name, value, kinds, f"--{name.replace('_', '-')}")
        return cls(**values)


def settings_table() -> str:
    """The settings as a Markdown table, in the order of this file."""
    rows = ["| setting | environment | default | meaning |", "|---|---|---|---|"]
    for item in fields(Settings):
        default = f"`{written(item.default)}`" if str(item.default) else "(empty)"
        variable = ENVIRONMENT_PREFIX + item.name.upper()
        rows.append(f"| `{item.name}` | `{variable}` | {default} | {item.metadata['about']} |")
    return "\n".join(rows)


def written(value: Any) -> str:
    """A value as an environment variable or a TOML file has it, texts without quotes."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _choice(settings: Settings, name: str, allowed: tuple[str, ...]) -> None:
    value = getattr(settings, name)
    if value not in allowed:
        raise SettingsError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}")


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{file}: no such settings file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: not valid TOML: {error}") from None


def _refuse_secrets(names: Iterable[str], kinds: Mapping[str, type], origin: str) -> None:
    """A flag shows in every list of processes, a settings file in the repository that holds it."""
    for name in names:
        if kinds.get(name) is Secret:
            variable = ENVIRONMENT_PREFIX + name.upper()
            raise SettingsError(
                f"{name} is not taken from {origin}, where others can read it: "
                f"set {name}_file, or {variable} in the environment"
            )


def _typed(name: str, value: Any, kinds: Mapping[str, type], origin: str) -> Any:
    kind = kinds.get(name)
    if kind is None:
        raise SettingsError(f"{origin}: unknown setting {name!r}; known are {', '.join(kinds)}")
    if kind is Secret:
        return Secret(str(value))
    if kind is bool:
        return _truth(name, value, origin)
    if kind is str and not isinstance(value, str):
        raise SettingsError(f"{origin}: {name} must be text, not {value!r}")
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise SettingsError(f"{origin}: {name} must be a {kind.__name__}, not {value!r}") from None


def _truth(name: str, value: Any, origin: str) -> bool:
    found = {"true": True, "false": False}.get(str(value).lower())
    if found is None:
        raise SettingsError(f"{origin}: {name} must be true or false, not {value!r}")
    return found
