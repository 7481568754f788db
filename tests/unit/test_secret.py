"""A secret prints as stars, wherever it lands."""

from __future__ import annotations

import copy
import dataclasses
import logging
import pickle
import traceback
from dataclasses import replace

import pytest

from stream_app.secret import Secret, masked
from stream_app.settings import Settings, SettingsError, settings_table

TEXT = "distinctive-Pass-7"

LOGIN = {
    "security_protocol": "SASL_SSL",
    "sasl_mechanism": "PLAIN",
    "sasl_username": "ann",
    "sasl_password": Secret(TEXT),
}


@pytest.mark.parametrize("show", [str, repr, "{}".format, "%s".__mod__, "{0!r:>30}".format, ascii])
def test_no_way_of_printing_shows_it(show) -> None:
    assert TEXT not in show(Secret(TEXT))
    assert TEXT not in show([Secret(TEXT)])
    assert TEXT not in show(Settings(**LOGIN))


def test_it_is_no_text_by_accident() -> None:
    for use in ("".join, "x".__add__, str.encode, len, iter, bytes):
        with pytest.raises((TypeError, AttributeError)) as raised:
            use(Secret(TEXT) if use in (len, iter, bytes, str.encode) else [Secret(TEXT)])
        assert TEXT not in str(raised.value)


def test_a_log_line_and_a_traceback_do_not_show_it(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(**LOGIN)
    logging.getLogger("test").error("settings %s, secret %r", settings, settings.sasl_password)
    assert "***" in caplog.text
    assert TEXT not in caplog.text
    try:
        raise RuntimeError(settings)
    except RuntimeError as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        assert "***" in "".join(shown.format())
        assert TEXT not in "".join(shown.format())


def test_copies_of_settings_keep_it_hidden() -> None:
    settings = replace(Settings(**LOGIN), list_length=5)
    for made in (settings, copy.deepcopy(settings), dataclasses.asdict(settings)):
        assert TEXT not in repr(made)
    assert pickle.loads(pickle.dumps(settings)) == settings
    assert settings.sasl_password.reveal() == TEXT


def test_equality_is_of_the_text() -> None:
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret(TEXT) != Secret("other")
    assert Secret(TEXT) != TEXT
    assert len({Secret(TEXT), Secret(TEXT), Secret()}) == 2
    assert not Secret()
    assert Secret(TEXT)


def test_what_others_say_can_be_masked() -> None:
    assert masked(f"login with {TEXT} failed", Secret(TEXT), Secret()) == "login with *** failed"


def test_a_child_process_gets_the_real_value() -> None:
    settings = Settings(**LOGIN)
    assert settings.environment()["STREAM_APP_SASL_PASSWORD"] == TEXT
    assert Settings.load(environment=settings.environment()) == settings


def test_flags_and_files_are_refused_without_showing_it(tmp_path) -> None:
    """A flag shows in every list of processes, and a settings file is committed sooner or later."""
    file = tmp_path / "settings.toml"
    file.write_text(f'sasl_password = "{TEXT}"\n')
    for given in ({"flags": {"sasl_password": TEXT}}, {"file": file}):
        with pytest.raises(
            SettingsError, match=r"set sasl_password_file, or STREAM_APP_SASL_P"
        ) as e:
            Settings.load(environment={}, **given)
        assert TEXT not in str(e.value)


def test_the_settings_table_has_no_value_of_it() -> None:
    (row,) = (
        line for line in settings_table().splitlines() if line.startswith("| `sasl_password`")
    )
    assert "| (empty) |" in row
