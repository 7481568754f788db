"""Settings of TLS and SASL that do not fit together are refused before anything connects."""

from __future__ import annotations

import pytest

from stream_app.secret import Secret
from stream_app.settings import Settings, SettingsError

SCRAM = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "ann", "sasl_password_file": "p"}
TOKEN = {"sasl_mechanism": "OAUTHBEARER", "sasl_token_file": "t"}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"security_protocol": "SSL"},
        {"security_protocol": "SSL", "ssl_cafile": "ca"},
        {"security_protocol": "SSL", "ssl_certfile": "c"},
        {"security_protocol": "SSL", "ssl_certfile": "c", "ssl_keyfile": "k"},
        {"security_protocol": "SASL_SSL", "ssl_cafile": "ca"} | SCRAM,
        {"security_protocol": "SASL_SSL", "ssl_certfile": "c", "ssl_key_password_file": "k"}
        | TOKEN,
        {"security_protocol": "SASL_PLAINTEXT"} | SCRAM,
        {"security_protocol": "SASL_PLAINTEXT"} | TOKEN,
        {"security_protocol": "SASL_SSL", "sasl_password": Secret("x")}
        | SCRAM
        | {"sasl_password_file": ""},
    ],
)
def test_what_fits_is_taken(values: dict[str, str]) -> None:
    Settings(**values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"security_protocol": "TLS"}, "must be one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ({"security_protocol": "ssl"}, "security_protocol is 'ssl'; it must be one of"),
        ({"ssl_cafile": "ca"}, "ssl_cafile is set, but security_protocol is PLAINTEXT, which does"),
        (
            {"security_protocol": "SASL_PLAINTEXT", "ssl_cafile": "ca"} | SCRAM,
            "does not encrypt: set it to SASL_SSL, or leave out ssl_cafile",
        ),
        (SCRAM, "sasl_mechanism is set, but security_protocol is PLAINTEXT, which has no login"),
        ({"security_protocol": "SSL"} | SCRAM, "security_protocol is SSL, which has no login"),
        ({"sasl_password": Secret("x")}, "sasl_password is set, but security_protocol is PLAINTEX"),
        (
            {"security_protocol": "SSL", "ssl_keyfile": "k"},
            "ssl_keyfile is set without ssl_certfile",
        ),
        (
            {"security_protocol": "SSL", "ssl_key_password_file": "k"},
            "ssl_key_password_file is set without ssl_certfile",
        ),
        ({"security_protocol": "SASL_SSL"}, "sasl_mechanism is not set; with security_protocol SA"),
        (
            {"security_protocol": "SASL_SSL"} | SCRAM | {"sasl_mechanism": "GSSAPI"},
            "sasl_mechanism is 'GSSAPI'; .* must be one of PLAIN, SCRAM-SHA-256, .*, OAUTHBEARER",
        ),
        (
            {"security_protocol": "SASL_SSL"} | SCRAM | {"sasl_username": ""},
            "SCRAM-SHA-512 needs sasl_username",
        ),
        (
            {"security_protocol": "SASL_SSL"} | SCRAM | {"sasl_password_file": ""},
            "needs a password: set sasl_password_file, or STREAM_APP_SASL_PASSWORD in the env",
        ),
        (
            {"security_protocol": "SASL_SSL", "sasl_password": Secret("x")} | SCRAM,
            "sasl_password and sasl_password_file are both set",
        ),
        (
            {"security_protocol": "SASL_SSL", "sasl_token_file": "t"} | SCRAM,
            "only OAUTHBEARER uses it, not SCRAM-SHA-512",
        ),
        (
            {"security_protocol": "SASL_SSL"} | TOKEN | {"sasl_token_file": ""},
            "OAUTHBEARER needs sasl_token_file",
        ),
        (
            {"security_protocol": "SASL_SSL", "sasl_username": "ann"} | TOKEN,
            "sasl_username is set, but OAUTHBEARER logs in with sasl_token_file",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_do(values: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Settings(**values)
