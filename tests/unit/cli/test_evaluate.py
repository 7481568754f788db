"""`stream-app evaluate` from files to report, and one clear line for what it cannot do."""

import csv
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from stream_app.cli.evaluate import command
from stream_app.errors import UserError
from stream_app.evaluation.counts import Popular
from stream_app.evaluation.result import Result as Outcome
from stream_app.evaluation.result import read_json
from stream_app.training.config import TrainingConfig

EXAMPLE = Path(__file__).parents[3] / "examples" / "movielens"


REPLAYED = ["--protocol", "replay", "--bundle", "nowhere"]


def evaluate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [*map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "item_id", "timestamp_ms"])
        for at in range(12):
            for user in range(8):
                writer.writerow(
                    [f"u{user}", f"i{(at * 3 + user) % 20}", 10**12 + at * 60_000 + user]
                )
    return path


def test_methods_and_lists_from_elsewhere_end_in_one_report(events: Path, tmp_path: Path) -> None:
    questions, lists = tmp_path / "questions", tmp_path / "lists.jsonl"
    asked = evaluate("--data", events, "--methods", "none", "--write-questions", questions)
    assert asked.exit_code == 0, asked.output
    lists.write_text('{"user_id": "u0", "items": ["i13"]}\n')
    made = evaluate(
        "--data", events, "--methods", "popular,transitions,item-knn", "--lists", f"theirs={lists}",
        "--k", "5", "--k", "10", "--out", tmp_path / "report.html", "--json", tmp_path / "r.json",
        "--threads", "1", "--write-lists", tmp_path / "kept",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    result = read_json(tmp_path / "r.json")
    counts = tmp_path / "kept" / "transitions.jsonl"
    again = evaluate(
        "--data", events, "--methods", "none", "--k", "5",
        "--lists", f"counts={counts}", "--json", "-",
    )  # fmt: skip
    assert again.exit_code == 0, again.output
    shown = msgspec.json.decode(again.stdout, type=Outcome)  # and nothing else is on stdout
    kept = shown.value("counts", "hr@5")
    assert kept == result.value("transitions", "hr@5")
    assert [one.name for one in result.methods] == ["popular", "transitions", "item-knn", "theirs"]
    assert (result.value("transitions", "hr@5"), result.value("theirs", "hr@5")) == (1, 1 / 8)
    assert "theirs" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "transitions" in made.output


def test_the_shipped_bundle_is_evaluated_in_both_ways(tmp_path: Path) -> None:
    for protocol in ("time-split", "replay"):
        made = evaluate(
            "--data", EXAMPLE / "ml-latest-small", "--protocol", protocol,
            "--test-share", "0.02", "--users", "5",
            "--methods", "popular", "--bundle", EXAMPLE / "bundle", "--json", tmp_path / "r.json",
        )  # fmt: skip
        assert made.exit_code == 0, made.output
        result = read_json(tmp_path / "r.json")
        assert result.setup.diversity_by == "categories"
        assert (result.value("bundle", "hr@10") or 0) > 0


def test_objectives_are_compared_with_the_bundle_as_it_is(tmp_path: Path) -> None:
    made = evaluate(
        "--data", EXAMPLE / "ml-latest-small", "--protocol", "replay",
        "--test-share", "0.01", "--users", "3", "--methods", "none", "--bundle", EXAMPLE / "bundle",
        "--objectives", "diversity=8", "--objectives", "popularity_discount=0.5",
        "--json", tmp_path / "r.json", "--write-lists", tmp_path / "lists",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    assert "novelty@10" in made.output
    result = read_json(tmp_path / "r.json")
    names = ["bundle", "bundle diversity=8", "bundle popularity_discount=0.5"]
    assert [one.name for one in result.methods] == names
    plain, diverse, less_popular = names
    for metric, other in (("diversity@10", diverse), ("novelty@10", less_popular)):
        found = result.value(other, metric)
        before = result.value(plain, metric)
        assert found is not None
        assert before is not None
        assert found > before
    assert (tmp_path / "lists" / f"{diverse}.jsonl").exists()


def test_a_bundle_is_not_asked_what_it_has_learned() -> None:
    data = ["--data", EXAMPLE / "ml-latest-small", "--bundle", EXAMPLE / "bundle"]
    with pytest.raises(
        UserError, match=r"has learned from .*; give .* a --test-share of at most 0.2"
    ):
        evaluate(*data, "--protocol", "time-split", "--test-share", "0.3")
    with pytest.raises(UserError, match="use --protocol time-split or replay"):
        evaluate(*data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "populer"], "no method 'populer'; there are popular, decayed-popular"),
        (["--methods", "popular,popular"], "two methods are called popular"),
        (["--lists", "popular=x"], "two methods are called popular"),
        (["--lists", "x"], "'x' is not NAME=FILE"),
        (["--lists", "../x=y"], "the name '../x' has a slash; give another"),
        (["--write-lists", __file__], "test_evaluate.py is not a directory"),
        (["--methods", "none"], "nothing to evaluate; give --methods, --bundle or --lists"),
        (["--methods", "recommender"], "recommender needs --protocol replay"),
        (["--objectives", "diversity=1"], "--objectives needs --bundle and --protocol replay"),
        (["--objectives", "diversity=x"], "'diversity=x': write diversity= and a number"),
        (
            [*REPLAYED, "--objectives", "purchase=2", "--objectives", "purchase=2"],
            "two methods are called bundle purchase=2",
        ),
        (["--basket"], "--basket needs --protocol time-split"),
        (["--k", "0"], "0 is not in the range"),
    ],
)
def test_what_cannot_be_meant_is_said_before_anything_is_read(
    arguments: list[str], message: str
) -> None:
    result = evaluate("--data", "nowhere", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


@pytest.mark.parametrize("option", ["--out", "--json"])
@pytest.mark.parametrize("file", ["nowhere/report", "."])
def test_a_path_that_cannot_be_written_is_refused_before_the_work(
    events: Path, tmp_path: Path, option: str, file: str
) -> None:
    result = evaluate("--data", events, "--methods", "popular", option, tmp_path / file)
    assert result.exit_code == 2
    assert "cannot be written" in result.output
    assert "learning from" not in result.output


def test_data_that_cannot_be_read_or_asks_nobody_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such file or directory"):
        evaluate("--data", tmp_path / "nowhere")
    (tmp_path / "pairs.txt").write_text("u a\nu b\nv c\n")
    with pytest.raises(UserError, match=r"pairs.txt: nobody to ask: leave-one-out needs"):
        evaluate("--data", tmp_path / "pairs.txt")
    with pytest.raises(UserError, match=r"pairs.txt has no times; use --protocol leave-one-out"):
        evaluate("--data", tmp_path / "pairs.txt", "--protocol", "time-split")


def test_missing_extras_are_named(events: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_app.cli.evaluate.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"needs torch.*pip install 'stream-app\[train\]'"):
        evaluate("--data", events, "--methods", "gru")
    monkeypatch.setattr("stream_app.evaluation.plots.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"need matplotlib: pip install 'stream-app\[evaluate\]'"):
        evaluate("--data", events, "--out", "report.html")


def test_encoders_keep_the_seed_of_their_settings_unless_one_is_given(
    events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several seeds of one encoder are compared by a file of settings for each."""
    pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")
    from stream_app.training import evaluated

    seeds: list[int] = []

    class Encoder(Popular):
        def __init__(self, name: str, config: TrainingConfig, _: object) -> None:
            self.name = name
            seeds.append(config.seed)

    monkeypatch.setattr(evaluated, "TrainedEncoder", Encoder)
    (tmp_path / "three.toml").write_text("seed = 3\n")
    arguments = ["--data", events, "--methods", "gru", "--trained", f"x={tmp_path / 'three.toml'}"]
    assert evaluate(*arguments).exit_code == 0
    assert evaluate(*arguments, "--seed", "5").exit_code == 0
    assert seeds == [0, 3, 5, 5]


def test_help_does_not_import_torch() -> None:
    assert "stream_app.training.evaluated" not in sys.modules or "torch" in sys.modules
    assert "same questions" in evaluate("--help").output
