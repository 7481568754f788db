"""Training settings: made from the fields, read from files and flags, and refused with a reason."""

import sys
import tomllib
from pathlib import Path

import pytest

from stream_app.training.config import ModelConfig, TrainingConfig, TrainingError
from stream_app.training.settings_file import (
    LIMITS,
    as_toml,
    load_config,
    settings_table,
    training_settings,
)

GUIDE = Path(__file__).parents[3] / "docs" / "training.md"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_flag_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    file = write(tmp_path / "train.toml", "epochs = 7\nseed = 3\n[model]\ndim = 32\ndropout = 0\n")
    config = load_config(file, {"epochs": 9, "dim": None, "width": 16})
    assert config == TrainingConfig(
        model=ModelConfig(dim=32, width=16, dropout=0.0), epochs=9, seed=3
    )
    assert load_config(None, {}) == TrainingConfig()


def test_yaml_says_the_same(tmp_path: Path) -> None:
    pytest.importorskip("yaml", reason="PyYAML is not installed")
    file = write(tmp_path / "train.yaml", "epochs: 7\nmodel:\n  dim: 32\n")
    assert load_config(file, {}) == TrainingConfig(model=ModelConfig(dim=32), epochs=7)
    assert load_config(write(tmp_path / "e.yml", "# nothing\n"), {}) == TrainingConfig()


def test_what_is_printed_can_be_read_and_explains_every_setting(tmp_path: Path) -> None:
    config = TrainingConfig(model=ModelConfig(dim=16), learning_rate=1e-7, seed=5)
    text = as_toml(config)
    assert load_config(write(tmp_path / "train.toml", text), {}) == config
    assert text.count("# ") >= len(training_settings())
    assert tomllib.loads(text)["seed"] == 5


def test_every_setting_says_what_it_does() -> None:
    for setting in training_settings():
        assert setting.about.endswith("."), setting.key
    assert {one.key for one in training_settings()} >= LIMITS.keys()
    names = [one.name for one in training_settings()]
    assert len(names) == len({*names}), "a flag would stand for two settings"


def test_the_guide_has_the_table_of_settings() -> None:
    if settings_table() not in GUIDE.read_text(encoding="utf-8"):
        pytest.fail(f"the table of docs/training.md must be:\n{settings_table()}")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.toml", "epoch = 1", r"t.toml: unknown setting 'epoch'; did you mean 'epochs'\?"),
        ("t.toml", "dim = 1", r"t.toml: unknown setting 'dim'; it is called 'model.dim'"),
        ("t.toml", "[model]\nepochs = 1", r"unknown setting 'model.epochs'; it is called 'epochs'"),
        ("t.toml", "[model]\nfeatures = 1", r"unknown setting 'model.features'"),
        ("t.toml", "qqq = 1", r"unknown setting 'qqq' \(stream-app train --print-config shows"),
        ("t.toml", "epochs = 1.5", r"t.toml: epochs must be a whole number, not 1.5"),
        ("t.toml", "epochs = true", r"t.toml: epochs must be a whole number, not True"),
        ("t.toml", "epochs = 0", r"t.toml: epochs is 0; it must be from 1 to"),
        ("t.toml", "model = 3", r"unknown setting 'model'"),
        ("t.toml", 'temperature = "hot"', r"temperature must be a number, not 'hot'"),
        ("t.toml", "temperature = nan", r"temperature is nan; it must be from 0.01 to 1"),
        ("t.toml", "weight_decay = inf", r"weight_decay is inf; it must be from 0 to 10"),
        ("t.toml", "seed = 1\nepochs = x\n", r"t.toml: not valid TOML: .*line 2"),
        ("t.yaml", "epochs: [", r"t.yaml: not valid YAML: .*(\n.*)*line 1"),
        ("t.yaml", "- epochs", r"t.yaml: expected settings by name"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    if name.endswith("yaml"):
        pytest.importorskip("yaml", reason="PyYAML is not installed")
    with pytest.raises(TrainingError, match=message):
        load_config(write(tmp_path / name, text), {})


def test_a_wrong_flag_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"--dim: model.dim is 1; it must be from 2 to 1024"):
        load_config(None, {"dim": 1})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"missing.toml: no such file"):
        load_config(tmp_path / "missing.toml", {})
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9")
    with pytest.raises(TrainingError, match=r"latin.toml: not UTF-8"):
        load_config(tmp_path / "latin.toml", {})


def test_yaml_without_its_package_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(TrainingError, match="pip install pyyaml, or write the file as TOML"):
        load_config(write(tmp_path / "t.yaml", "epochs: 1"), {})
