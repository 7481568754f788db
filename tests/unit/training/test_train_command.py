"""`stream-app train` from end to end on a small stream, and what it says when it cannot."""

import csv
import json
import struct
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from schemas.messages import Click
from stream_app.bundle import load_bundle
from stream_app.cli.train import command
from stream_app.cli.train_data import read_table, read_users
from stream_app.datasets import DatasetError
from stream_app.errors import UserError
from stream_app.recommender import Recommender
from stream_app.training.settings_file import training_settings

from .markov import markov_table

SIZES = ["--dim", "16", "--width", "16", "--blocks", "1", "--min-count", "1"]
HURRY = ["--epochs", "6", "--learning-rate", "0.01", "--threads", "1"]


def train(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [*map(str, arguments)], catch_exceptions=False)


def write_events(path: Path, **size: Any) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "item_id", "timestamp_ms"])
        for event in markov_table(**size).messages():
            writer.writerow([event.user_id, event.item_id, event.timestamp_ms])
    return path


def test_events_become_a_measured_bundle(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")
    events = write_events(tmp_path / "events.csv", users=60)
    result = train(
        "--events", events, "--out", tmp_path / "bundle", "--name", "markov", "--version", "1",
        "--train-fraction", "0.8", "--tensorboard", tmp_path / "logs", *SIZES, *HURRY, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "transition counts" in result.stderr
    assert json.loads(result.stdout)["manifest"]["name"] == "markov"
    bundle = load_bundle(tmp_path / "bundle")
    manifest = bundle.manifest
    assert manifest.release == "markov@1"
    assert manifest.data.events == 1440
    metrics = {name: dict(value) for name, value in manifest.metrics.items() if "." in name}
    assert metrics["held_out.stream-app"]["ndcg"] > 2 * metrics["held_out.popularity"]["ndcg"]
    made = Recommender(bundle).recommend([Click(user_id="me", item_id="i1", timestamp_ms=10**9)])
    assert len(made[0].items) == 10
    written = scalars(tmp_path / "logs")
    assert written["validation/recurrent/loss"].keys() == {1, 2, 3, 4, 5, 6}
    assert written["final/recurrent/loss"].keys() == {
        *range(1, int(manifest.metrics["epochs"]) + 1)
    }
    assert written["held_out/stream-app/ndcg"][0] == pytest.approx(
        metrics["held_out.stream-app"]["ndcg"]
    )


def scalars(directory: Path) -> dict[str, dict[int, float]]:
    """What TensorBoard would show: values by tag and step."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    (log,) = directory.iterdir()
    data, at = log.read_bytes(), 0
    found: dict[str, dict[int, float]] = {}
    while at < len(data):  # a record: length, its checksum, the event, its checksum
        (length,) = struct.unpack_from("<Q", data, at)
        event = event_pb2.Event.FromString(data[at + 12 : at + 12 + length])
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found.setdefault(value.tag, {})[event.step] = value.simple_value
        at += 12 + length + 4
    return found


def test_a_stopped_run_goes_on_and_says_from_where(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")
    events = write_events(tmp_path / "events.csv", users=30)
    arguments = [
        "--events", events, "--checkpoint", tmp_path / "run.pt", "--name", "markov", "--version",
        "1", "--created", "2026-01-01T00:00:00+00:00", *SIZES, "--epochs", "2", "--threads", "1",
    ]  # fmt: skip
    first = train(*arguments, "--out", tmp_path / "first")
    again = train(*arguments, "--out", tmp_path / "again")
    assert "going on after epoch" not in first.output
    assert f"going on after epoch 2, from {tmp_path / 'run.pt'}" in again.output
    assert f"from {tmp_path / 'run.pt.final'}" in again.output
    names = {path.name for path in (tmp_path / "first").iterdir()}
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    with pytest.raises(UserError, match=r"run.pt: checkpoint of another run \(seed differ\)"):
        train(*arguments, "--seed", "1", "--out", tmp_path / "other")


def test_an_existing_bundle_is_not_written_over(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")
    events = write_events(tmp_path / "events.csv", users=10)
    (tmp_path / "bundle").mkdir()
    with pytest.raises(UserError, match="exists; choose another --out, or pass --replace"):
        train("--events", events, "--out", tmp_path / "bundle")


def test_too_few_events_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")
    events = write_events(tmp_path / "events.csv", users=3)
    with pytest.raises(UserError, match="90 events to train on are too few"):
        train("--events", events, "--out", tmp_path / "bundle")


def test_without_torch_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_app.cli.train.NEEDED", ("json", "torch_that_is_not_there"))
    events = write_events(tmp_path / "events.csv", users=3)
    with pytest.raises(UserError, match=r"pip install 'stream-app\[train\]'"):
        train("--events", events, "--out", tmp_path / "bundle")


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user_id,item_id,timestamp\na,b,1\na,b,never\n")
    with pytest.raises(DatasetError, match=r"events.csv:3: timestamp is 'never'"):
        train("--events", tmp_path / "events.csv", "--out", tmp_path / "bundle")


def test_one_kind_of_data_is_asked_for(tmp_path: Path) -> None:
    result = train("--out", tmp_path / "bundle")
    assert result.exit_code == 2
    assert (
        "give one of --data PATH, --movielens DIR, --events FILE and --from-topics" in result.output
    )


def test_help_does_not_import_torch() -> None:
    assert "stream_app.training.job" not in sys.modules or "torch" in sys.modules
    assert "Train an encoder on events" in train("--help").output


def test_tensorboard_without_its_package_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match=r"pip install 'stream-app\[tensorboard\]'"):
        train("--events", "e.csv", "--out", tmp_path / "b", "--tensorboard", tmp_path / "logs")


def test_every_option_has_a_name_of_its_own() -> None:
    names = [parameter.name for parameter in command.params]
    assert len(names) == len(set(names))
    assert {setting.name for setting in training_settings()} <= {*names}


def test_erased_users_bad_records_and_other_times_are_left_out(tmp_path: Path) -> None:
    events = write_events(tmp_path / "events.csv", users=60)
    with events.open("a") as file:
        file.write("u9,,5\nu9,i1,soon\n")
    (tmp_path / "erased.txt").write_text("u0\n\nu1\nnobody\n")
    options: dict[str, Any] = dict.fromkeys(
        ("data", "movielens", "format", "until", "since", "from_topics")
    )
    options |= {"events": events, "from_topics": False, "max_bad": 2, "since": "3"}
    options["erased"] = tmp_path / "erased.txt"
    report = Lines()
    table = read_table(options, {}, report)
    assert not {"u0", "u1"} & {*table.user_ids}
    assert table.timestamps_ms[0] >= 3
    assert any("60 events of erased users left out" in line for line in report.lines)
    assert any("item id is empty" in line for line in report.lines)
    options["since"] = "2999-01-01"
    with pytest.raises(UserError, match="no event of the time between --since and --until"):
        read_table(options, {}, report)
    (tmp_path / "sequences.txt").write_text("u5 i1\n")
    with pytest.raises(UserError, match="has no times, so --since and --until mean nothing"):
        read_table(options | {"events": None, "data": tmp_path / "sequences.txt"}, {}, report)
    options["erased"] = tmp_path / "missing.txt"
    with pytest.raises(UserError, match=r"missing\.txt: no such file"):
        read_table(options, {}, report)


def test_every_line_of_a_file_of_users_is_one_user(tmp_path: Path) -> None:
    """A mark at its beginning, as editors leave it, would keep the first user in the training."""
    (tmp_path / "erased.txt").write_bytes("\ufeffann\r\nb\u2028ob\n\neve \n".encode())
    assert read_users(tmp_path / "erased.txt") == {"ann", "b\u2028ob", "eve "}


class Lines:
    """A report that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def stage(self, text: str) -> None:
        self.lines.append(text)

    note = stage


def test_print_config_prints_what_would_be_used(tmp_path: Path) -> None:
    (tmp_path / "train.toml").write_text("epochs = 3\n[model]\ndim = 32\n")
    result = train("--config", tmp_path / "train.toml", "--dim", "16", "--print-config")
    printed = tomllib.loads(result.output)
    assert (printed["epochs"], printed["model"]["dim"], printed["patience"]) == (3, 16, 5)


def test_where_to_write_is_asked_for(tmp_path: Path) -> None:
    result = train("--events", "e.csv")
    assert result.exit_code == 2
    assert "give --out DIRECTORY" in result.output
