"""Which settings of TLS and SASL fit together, checked before anything connects.

A setting that the chosen protocol would ignore is refused: somebody who sets a password believes
that it is used, and somebody who names a CA file believes that the line is encrypted.
"""

from __future__ import annotations

from typing import Protocol

from stream_app.secret import Secret

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
PASSWORD_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
MECHANISMS = (*PASSWORD_MECHANISMS, "OAUTHBEARER")

TLS_FILES = ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_key_password_file")
SASL_SETTINGS = (
    "sasl_mechanism",
    "sasl_username",
    "sasl_password",
    "sasl_password_file",
    "sasl_token_file",
)


class AccessSettings(Protocol):
    """The settings that say how a Kafka client reaches its brokers."""

    @property
    def bootstrap_servers(self) -> str: ...
    @property
    def security_protocol(self) -> str: ...
    @property
    def ssl_cafile(self) -> str: ...
    @property
    def ssl_certfile(self) -> str: ...
    @property
    def ssl_keyfile(self) -> str: ...
    @property
    def ssl_key_password_file(self) -> str: ...
    @property
    def sasl_mechanism(self) -> str: ...
    @property
    def sasl_username(self) -> str: ...
    @property
    def sasl_password(self) -> Secret: ...
    @property
    def sasl_password_file(self) -> str: ...
    @property
    def sasl_token_file(self) -> str: ...


def problem(settings: AccessSettings) -> str | None:
    """What is wrong with the combination and what to do, or None. Reads no file."""
    protocol = settings.security_protocol
    if protocol not in PROTOCOLS:
        return f"security_protocol is {protocol!r}; it must be one of {', '.join(PROTOCOLS)}"
    tls, sasl = protocol.endswith("SSL"), protocol.startswith("SASL_")
    if not tls and (given := _given(settings, TLS_FILES)):
        return (
            f"{given[0]} is set, but security_protocol is {protocol}, which does not encrypt: "
            f"set it to {'SASL_SSL' if sasl else 'SSL'}, or leave out {given[0]}"
        )
    if not sasl and (given := _given(settings, SASL_SETTINGS)):
        return (
            f"{given[0]} is set, but security_protocol is {protocol}, which has no login: "
            f"set it to SASL_SSL, or leave out {given[0]}"
        )
    if not settings.ssl_certfile and (
        given := _given(settings, ("ssl_keyfile", "ssl_key_password_file"))
    ):
        return f"{given[0]} is set without ssl_certfile, the certificate that the key belongs to"
    return _login_problem(settings) if sasl else None


def _login_problem(settings: AccessSettings) -> str | None:
    mechanism = settings.sasl_mechanism
    if mechanism not in MECHANISMS:
        said = f"sasl_mechanism is {mechanism!r}" if mechanism else "sasl_mechanism is not set"
        return (
            f"{said}; with security_protocol {settings.security_protocol} it must be one of "
            f"{', '.join(MECHANISMS)}"
        )
    if mechanism == "OAUTHBEARER":
        password = ("sasl_username", "sasl_password", "sasl_password_file")
        if given := _given(settings, password):
            return f"{given[0]} is set, but OAUTHBEARER logs in with sasl_token_file: leave it out"
        if not settings.sasl_token_file:
            return "sasl_mechanism OAUTHBEARER needs sasl_token_file, a file that holds the token"
        return None
    if settings.sasl_token_file:
        return f"sasl_token_file is set, but only OAUTHBEARER uses it, not {mechanism}"
    if not settings.sasl_username:
        return f"sasl_mechanism {mechanism} needs sasl_username"
    if settings.sasl_password and settings.sasl_password_file:
        return "sasl_password and sasl_password_file are both set: leave out one of them"
    if not settings.sasl_password and not settings.sasl_password_file:
        return (
            f"sasl_mechanism {mechanism} needs a password: set sasl_password_file, or "
            "STREAM_APP_SASL_PASSWORD in the environment"
        )
    return None


def _given(settings: AccessSettings, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if getattr(settings, name)]
