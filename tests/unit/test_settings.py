"""Settings come from flags, environment and file, in this order, and wrong ones are refused."""

from pathlib import Path

import pytest

from stream_app.settings import Settings, SettingsError, settings_table

README = Path(__file__).parents[2] / "README.md"


def test_flag_wins_over_environment_wins_over_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('list_length = 5\nbatch_max = 32\napp_id = "file"\n')
    environment = {"STREAM_APP_LIST_LENGTH": "6", "STREAM_APP_APP_ID": "environment"}
    settings = Settings.load({"app_id": "flag"}, environment=environment, file=file)
    assert (settings.app_id, settings.list_length, settings.batch_max) == ("flag", 6, 32)


def test_a_flag_that_is_not_given_changes_nothing() -> None:
    assert Settings.load({"app_id": None}, environment={}) == Settings()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"list_length": 0}, "list_length is 0; it must be from 1 to 1000"),
        ({"list_length": "many"}, "list_length must be a int, not 'many'"),
        ({"output_encoding": "xml"}, "must be one of msgpack, json"),
        ({"bootstrap_servers": "kafka"}, "write host:port,host:port"),
        ({"bootstrap_servers": "kafka:9092,kafka"}, "write host:port,host:port"),
        ({"bootstrap_servers": "kafka:port"}, "write host:port,host:port"),
        ({"bootstrap_servers": ""}, "write host:port,host:port"),
        ({"filters": "bought,liked"}, "filter 'liked' is unknown; use some of: bought, clicked"),
        ({"diversity": -1}, "diversity is -1.0; it must be from 0 to 100"),
        ({"popularity_discount": 2}, "popularity_discount is 2.0; it must be from 0 to 1"),
        ({"action_values": "sale=2"}, "action_values: 'sale=2' is not action=number"),
        ({"inspector_port": 70_000}, "inspector_port is 70000; it must be from 0 to 65535"),
        ({"inspector_writes": "1"}, "inspector_writes must be true or false, not '1'"),
        ({"no_such": 1}, "unknown setting 'no_such'"),
        ({"log_format": "xml"}, "log_format is 'xml'; it must be one of text, json"),
        ({"log_user_ids": "maybe"}, "log_user_ids must be true or false, not 'maybe'"),
        ({"log_user_ids": 1}, "log_user_ids must be true or false, not 1"),
        ({"trace_sample": 2}, "trace_sample is 2.0; it must be from 0 to 1"),
        ({"trace_endpoint": "collector:4318"}, "trace_endpoint is 'collector:4318'; write http"),
        ({"trace_endpoint": "http://[:1"}, "trace_endpoint is no URL"),
        ({"trace_endpoint": "http://:4318"}, "trace_endpoint is 'http://:4318'; write http"),
        ({"session_timeout_s": 1}, "session_timeout_s is 1.0; it must be from 6 to 90"),
    ],
)
def test_a_wrong_value_is_refused_with_what_to_do(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings.load(values, environment={})


@pytest.mark.parametrize(
    "endpoint",
    ["https://me:hunter2@collector:4318", "me:hunter2@collector", "http://collector?key=hunter2"],
)
def test_a_login_in_the_address_of_the_collector_is_refused_and_not_shown(endpoint: str) -> None:
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_HEADERS") as refused:
        Settings.load({"trace_endpoint": endpoint}, environment={})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(("said", "meant"), [("true", True), ("False", False), ("TRUE", True)])
def test_what_is_on_or_off_is_said_in_words(said: str, meant: bool, tmp_path: Path) -> None:
    settings = Settings.load(environment={"STREAM_APP_LOG_USER_IDS": said})
    assert settings.log_user_ids is meant
    assert Settings.load(environment=settings.environment()) == settings
    file = tmp_path / "settings.toml"
    file.write_text(f"log_user_ids = {said.lower()}\n")
    assert Settings.load(environment={}, file=file).log_user_ids is meant


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such settings file"):
        Settings.load(environment={}, file=tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("list_length = ")
    with pytest.raises(SettingsError, match="not valid TOML"):
        Settings.load(environment={}, file=broken)


def test_the_table_in_the_readme_is_current() -> None:
    assert settings_table() in README.read_text(encoding="utf-8")


def test_limits_of_sources_and_exploration_are_read() -> None:
    settings = Settings(sources="similar=48, trending=0", exploration=0.25)
    assert settings.plan.sources == (("similar", 48), ("trending", 0))
    assert settings.plan.exploration == 0.25
    with pytest.raises(SettingsError, match="'similar' is no limit of a source"):
        Settings(sources="similar")
    with pytest.raises(SettingsError, match="exploration is 2"):
        Settings(exploration=2)


def test_weights_are_factors_by_scorer() -> None:
    plan = Settings(weights="transition=0.5, popularity=2").plan
    assert plan.weights == (("popularity", 2.0), ("transition", 0.5))
    for wrong in ("transition", "=2", "transition=much", "transition=-1"):
        with pytest.raises(SettingsError, match="weight"):
            Settings(weights=wrong)
