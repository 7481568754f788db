"""How every Kafka client of this package reaches its brokers: addresses, TLS and login.

Nothing else in the package builds these arguments, so a client without encryption or login where
the settings ask for both cannot come about.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaError

from stream_app.access import AccessSettings
from stream_app.secret import Secret
from stream_app.settings import SettingsError

if TYPE_CHECKING:
    from faust.auth import Credentials

log = logging.getLogger(__name__)

LONGEST_SECRET_BYTES = 65_536
"""More than any token or password; a wrong path must not be read into memory whole."""


class TokenFileError(KafkaError):
    """The token cannot be read now; a `KafkaError`, so that a running client tries again."""


class TokenFile(AbstractTokenProvider):
    """Hands out the token that the file holds at this moment.

    Whoever renews tokens replaces the file; brokers close a connection whose token has expired,
    and the next one is opened with the new token. A failed reading is tried again by the client.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    async def token(self) -> str:
        """The token. Raises `TokenFileError`, which never shows what the file holds."""
        # In a thread: the file may be on a network disk, and the event loop must not wait for it.
        return await asyncio.to_thread(self.read)

    def read(self) -> str:
        """The same, at once."""
        try:
            text = _read(self._path)
        except (OSError, ValueError) as error:
            raise TokenFileError(_file_problem("sasl_token_file", self._path, error)) from None
        # RFC 6750: a token has no spaces or control characters; one of those would end the field.
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise TokenFileError(
                f"sasl_token_file {self._path}: holds no token, which is one line of ASCII"
            )
        return text


def client_options(settings: AccessSettings) -> dict[str, Any]:
    """Arguments for any aiokafka client, producer, consumer or admin client.

    Reads the certificate and password files. Raises `SettingsError` naming the one that is wrong.
    """
    if settings.security_protocol == "SASL_PLAINTEXT" and settings.sasl_token_file:
        _warn_of_clear_token()  # of a password aiokafka itself warns
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.endswith("SSL"):
        options["ssl_context"] = _ssl_context(settings)
    if settings.sasl_mechanism:
        options["sasl_mechanism"] = settings.sasl_mechanism
    if settings.sasl_token_file:
        options["sasl_oauth_token_provider"] = _token_file(settings)
    elif settings.sasl_mechanism:
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = password_of(settings).reveal()
    return options


def faust_credentials(settings: AccessSettings) -> Credentials | None:
    """The same for Faust's setting `broker_credentials`; None without TLS and login."""
    # Here: every command makes clients, and only a worker needs Faust, which takes long to import.
    from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials

    tls = settings.security_protocol.endswith("SSL")
    context = _ssl_context(settings) if tls else None
    if settings.sasl_token_file:
        return OAuthCredentials(oauth_cb=_token_file(settings), ssl_context=context)
    if settings.sasl_mechanism:
        return SASLCredentials(
            username=settings.sasl_username,
            password=password_of(settings).reveal(),
            ssl_context=context,
            mechanism=settings.sasl_mechanism,
        )
    return SSLCredentials(context) if context is not None else None


def password_of(settings: AccessSettings) -> Secret:
    """The password of the settings or of their file. Raises `SettingsError`."""
    if not settings.sasl_password_file:
        return settings.sasl_password
    return _password_in("sasl_password_file", settings.sasl_password_file)


def _token_file(settings: AccessSettings) -> TokenFile:
    provider = TokenFile(settings.sasl_token_file)
    try:
        provider.read()  # a file that is not there at the start is a wrong setting
    except TokenFileError as error:
        raise SettingsError(str(error.args[0])) from None
    return provider


def _ssl_context(settings: AccessSettings) -> ssl.SSLContext:
    """Checks brokers' certificates and names; TLS 1.2 or newer."""
    try:
        context = ssl.create_default_context(cafile=settings.ssl_cafile or None)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(_file_problem("ssl_cafile", settings.ssl_cafile, error)) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.ssl_certfile:
        _load_own_certificate(context, settings)
    return context


def _load_own_certificate(context: ssl.SSLContext, settings: AccessSettings) -> None:
    file = settings.ssl_key_password_file
    password = _password_in("ssl_key_password_file", file) if file else Secret()
    try:
        # Always a function: without a password OpenSSL would ask for one on the terminal and wait.
        context.load_cert_chain(
            settings.ssl_certfile, settings.ssl_keyfile or None, password=password.reveal
        )
    except FileNotFoundError:
        missing = "ssl_keyfile" if Path(settings.ssl_certfile).exists() else "ssl_certfile"
        path = getattr(settings, missing)
        raise SettingsError(f"{missing} {path}: no such file") from None
    except (OSError, ValueError) as error:
        key = settings.ssl_keyfile or settings.ssl_certfile
        raise SettingsError(
            f"ssl_certfile {settings.ssl_certfile} with the key in {key} cannot be used "
            f"({_reason(error)}): both must be PEM and belong together; an encrypted key needs its "
            "password in ssl_key_password_file"
        ) from None


def _password_in(name: str, path: str) -> Secret:
    try:
        text = _read(path)
    except (OSError, ValueError) as error:
        raise SettingsError(_file_problem(name, path, error)) from None
    if not text:
        raise SettingsError(f"{name} {path}: is empty")
    return Secret(text)


def _read(path: str) -> str:
    """A file of one secret, without the line end that editors add."""
    with Path(path).open("rb") as file:
        raw = file.read(LONGEST_SECRET_BYTES + 1)
    if len(raw) > LONGEST_SECRET_BYTES:
        raise ValueError("is too large for a secret")
    try:
        return raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None


def _file_problem(name: str, path: str, error: Exception) -> str:
    return f"{name} {path}: {_reason(error)}"


def _reason(error: Exception) -> str:
    """Why, without the content of any file: what OpenSSL and the system say holds none."""
    if isinstance(error, ssl.SSLError):
        return (
            (error.reason or "not PEM, or locked with another password").lower().replace("_", " ")
        )
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return str(error.strerror if isinstance(error, OSError) else error)


@cache
def _warn_of_clear_token() -> None:
    log.warning(
        "security_protocol SASL_PLAINTEXT sends the token unencrypted: anyone on the network can "
        "read it and use it; use SASL_SSL"
    )
