"""Starting a Kafka client, and saying in one line why brokers do not let it in.

aiokafka logs the reason and raises "unable to bootstrap" for all of them; so after a failure the
same connection is opened once more, on its own, and what goes wrong is put into words.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from aiokafka import errors
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.metadata import MetadataRequest

from stream_app.access import AccessSettings
from stream_app.errors import UserError
from stream_app.secret import masked
from stream_app.streaming.connection import TokenFileError, client_options, password_of
from stream_app.streaming.exits import ExitCode

ANSWER_TIMEOUT_MS = 10_000
"""How long one broker may take to say why it refuses."""

CONNECTION_ERRORS = (errors.KafkaError, OSError, ValueError)
"""What a client raises that cannot connect; a wrong server signature of SCRAM is a ValueError."""

_NO_CONNECTION = (errors.KafkaConnectionError, errors.NodeNotReadyError, OSError)


class NoBrokerError(UserError):
    """No Kafka broker answers."""

    exit_code = ExitCode.NO_BROKER


class AccessError(UserError):
    """A broker answers and does not let us in, or is not the one that it must be."""


@asynccontextmanager
async def connected(client: Any, settings: AccessSettings) -> AsyncIterator[Any]:
    """Start `client`, made of `client_options(settings)`, and stop it after the block.

    Raises `NoBrokerError` or `AccessError` when it cannot connect.
    """
    stop = client.close if hasattr(client, "close") else client.stop
    try:
        if settings.sasl_mechanism == "OAUTHBEARER":
            await _check_token(settings)
        with silent_client():
            await client.start()
    except (*CONNECTION_ERRORS, UserError) as error:
        with suppress(Exception):
            await stop()
        if isinstance(error, UserError):
            raise
        raise await explain(settings, error) from None
    try:
        yield client
    finally:
        await stop()


@asynccontextmanager
async def in_words(settings: AccessSettings) -> AsyncIterator[None]:
    """Turn an error of the Kafka client within the block into a `UserError` that says why."""
    try:
        yield
    except (errors.KafkaError, TimeoutError) as error:
        with silent_client():
            raise await explain(settings, error) from None


async def explain(settings: AccessSettings, error: BaseException) -> UserError:
    """The error to show for a client that could not work and raised `error`."""
    options = client_options(settings)
    addresses = _addresses(options)
    unanswered: NoBrokerError | None = None
    for host, port in addresses:
        try:
            advertised = await _introduce(host, port, options, settings)
        except AccessError as refusal:
            return refusal
        except NoBrokerError as failure:
            unanswered = failure
        else:  # a client goes on with the addresses that the broker names
            addresses += [address for address in advertised if address not in addresses]
    if unanswered is not None:
        return unanswered
    if isinstance(error, _NO_CONNECTION):
        return NoBrokerError(f"no Kafka broker answers at {settings.bootstrap_servers}: {error}")
    return UserError(f"Kafka at {settings.bootstrap_servers} refuses the request: {error}")


async def _check_token(settings: AccessSettings) -> None:
    """Raise `AccessError` or `NoBrokerError` unless some broker takes the token.

    Kafka answers a refused token with a challenge that aiokafka takes for success: the client
    starts and then fails, or waits, without a word about the token.
    """
    options = client_options(settings)
    failure: UserError | None = None
    for host, port in _addresses(options):
        try:
            await _introduce(host, port, options, settings)
        except (AccessError, NoBrokerError) as error:
            failure = error
        else:
            return
    if failure is not None:
        raise failure


def _addresses(options: dict[str, Any]) -> list[tuple[str, int]]:
    """Takes the addresses out of the options of a client; the rest is for a connection."""
    servers = [
        server.strip().rpartition(":") for server in options.pop("bootstrap_servers").split(",")
    ]
    return [(host.strip("[]"), int(port)) for host, _, port in servers]


async def _introduce(
    host: str, port: int, options: dict[str, Any], settings: AccessSettings
) -> list[tuple[str, int]]:
    """Connect, log in and ask for the brokers, as a client does first; returns their addresses.

    Raises `AccessError` or `NoBrokerError`.
    """
    try:
        with silent_client():
            brokers = await _brokers(host, port, options)
        if not brokers and settings.sasl_mechanism == "OAUTHBEARER":
            raise errors.SaslAuthenticationFailed("it is expired, or not one that they accept")
    except (errors.KafkaConnectionError, OSError) as error:
        if isinstance(error, ssl.SSLError):
            raise AccessError(f"Kafka at {host}:{port} {_tls_problem(error, settings)}") from None
        why = _silence_in_words(error, settings)
        raise NoBrokerError(f"no Kafka broker answers at {host}:{port}: {why}") from None
    except (errors.KafkaError, ValueError) as error:
        why = masked(_login_problem(error, settings), password_of(settings))
        raise AccessError(f"Kafka at {host}:{port} {why}") from None
    return brokers


async def _brokers(host: str, port: int, options: dict[str, Any]) -> list[tuple[str, int]]:
    connection = AIOKafkaConnection(host, port, request_timeout_ms=ANSWER_TIMEOUT_MS, **options)
    await connection.connect()
    try:
        response = await connection.send(MetadataRequest([]))
        return [(broker[1], broker[2]) for broker in response.brokers]
    finally:
        connection.close()


def _silence_in_words(error: Exception, settings: AccessSettings) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing within {ANSWER_TIMEOUT_MS // 1000} s"
    if not isinstance(error, errors.KafkaConnectionError | ConnectionResetError):
        return str(error)
    # A broker does not say why it hangs up; one that is shutting down does the same.
    why = f"it closes the connection; is {settings.security_protocol} the protocol of this port?"
    if settings.ssl_certfile:
        return f"{why} Does it accept the certificate in {settings.ssl_certfile}?"
    if settings.security_protocol.endswith("SSL"):
        return f"{why} Does it want a client certificate (ssl_certfile)?"
    return why


def _tls_problem(error: ssl.SSLError, settings: AccessSettings) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        trusted = settings.ssl_cafile or "the system's authorities (ssl_cafile is empty)"
        return f"shows a certificate that is not accepted with {trusted}: {error.verify_message}"
    reason = (error.reason or "no reason given").lower().replace("_", " ")
    protocol = settings.security_protocol
    return f"does not agree on TLS ({reason}): is {protocol} the protocol of this port?"


def _login_problem(error: Exception, settings: AccessSettings) -> str:
    mechanism = settings.sasl_mechanism
    said = str(error.args[0]) if error.args and isinstance(error.args[0], str) else ""
    if isinstance(error, errors.SaslAuthenticationFailed):
        who = f"the user {settings.sasl_username!r}" if settings.sasl_username else "the token"
        return f"refuses {who} with {mechanism}: {said or 'authentication failed'}"
    if isinstance(error, errors.UnsupportedSaslMechanismError):
        return f"does not offer the sasl_mechanism {mechanism}"
    if isinstance(error, errors.IllegalSaslStateError):
        return f"has no login on this port: is {settings.security_protocol} its protocol?"
    if isinstance(error, TokenFileError):
        return f"was not asked: {said}"
    return f"cannot be used: {type(error).__name__}: {said or error}"


class _Silence:
    """Keeps the client's own log lines back while somebody connects: our error says more."""

    def __init__(self) -> None:
        self._connecting = 0
        self._level = logging.NOTSET

    @contextmanager
    def __call__(self) -> Iterator[None]:
        logger = logging.getLogger("aiokafka")
        if not self._connecting:
            self._level = logger.level
            logger.setLevel(logging.CRITICAL)
        self._connecting += 1
        try:
            yield
        finally:
            self._connecting -= 1
            if not self._connecting:
                logger.setLevel(self._level)


silent_client = _Silence()
