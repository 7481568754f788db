"""What every Kafka client is made of: files are read, and a wrong one is named without content."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from stream_app.secret import Secret
from stream_app.settings import Settings, SettingsError
from stream_app.streaming.connection import (
    TokenFile,
    TokenFileError,
    client_options,
    faust_credentials,
)
from tests.certificates import Authority, unsecured_token

TEXT = "distinctive-Pass-7"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("test")


@pytest.fixture
def scram(tmp_path: Path) -> Settings:
    (tmp_path / "password").write_text(f"{TEXT}\n")
    return Settings(
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="ann",
        sasl_password_file=str(tmp_path / "password"),
    )


def token_settings(path: Path, protocol: str = "SASL_SSL") -> Settings:
    return Settings(
        security_protocol=protocol, sasl_mechanism="OAUTHBEARER", sasl_token_file=str(path)
    )


def test_without_security_there_are_addresses_only() -> None:
    settings = Settings(bootstrap_servers="a:1,b:2")
    assert client_options(settings) == {
        "bootstrap_servers": "a:1,b:2",
        "security_protocol": "PLAINTEXT",
    }
    assert faust_credentials(settings) is None


def test_a_password_comes_from_its_file_or_the_environment(scram: Settings) -> None:
    given = replace(scram, sasl_password_file="", sasl_password=Secret(TEXT))
    for settings in (scram, given):
        options = client_options(settings)
        assert options["sasl_mechanism"] == "SCRAM-SHA-512"
        assert options["sasl_plain_username"] == "ann"
        assert options["sasl_plain_password"] == TEXT


def test_tls_checks_certificates_and_names(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(authority.certificate)
    settings = Settings(security_protocol="SSL", ssl_cafile=str(tmp_path / "ca.pem"))
    for made in (settings, replace(settings, ssl_cafile="")):
        context = client_options(made)["ssl_context"]
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    (trusted,) = client_options(settings)["ssl_context"].get_ca_certs()
    assert trusted["subject"] == ((("commonName", "test"),),)


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("login", ["password", "token"])
def test_faust_gets_what_the_other_clients_get(
    scram: Settings, tmp_path: Path, protocol: str, login: str
) -> None:
    (tmp_path / "token").write_text(unsecured_token("ann"))
    settings = replace(scram, security_protocol=protocol)
    if login == "token":
        settings = token_settings(tmp_path / "token", protocol)
    credentials = faust_credentials(settings)
    assert isinstance(credentials, OAuthCredentials if login == "token" else SASLCredentials)
    assert TEXT not in repr(credentials)
    expected = comparable(client_options(settings))
    expected.pop("bootstrap_servers")
    assert comparable(credentials_to_aiokafka_auth(credentials)) == expected


def test_faust_gets_tls_without_a_login() -> None:
    credentials = faust_credentials(Settings(security_protocol="SSL"))
    assert isinstance(credentials, SSLCredentials)
    options = credentials_to_aiokafka_auth(credentials)
    assert options["security_protocol"] == "SSL"
    assert options["ssl_context"].check_hostname


def comparable(options: Any) -> dict[str, Any]:
    """Contexts and token files by their kind: they are made anew each time."""
    kinds = (ssl.SSLContext, TokenFile)
    return {
        name: type(value) if isinstance(value, kinds) else value
        for name, value in options.items()
        if value is not None
    }


def test_the_token_file_is_read_for_every_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    provider = client_options(token_settings(file))["sasl_oauth_token_provider"]

    async def run() -> None:
        assert await provider.token() == "first"
        file.write_text("second")
        assert await provider.token() == "second"
        file.unlink()
        with pytest.raises(TokenFileError, match="token: no such file"):
            await provider.token()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "holds no token"),
        (b"\n\n", "holds no token"),
        (f"{TEXT} more".encode(), "holds no token"),
        (f"{TEXT}\nmore".encode(), "holds no token"),
        (f"{TEXT}\x01auth=x".encode(), "holds no token"),
        (f"{TEXT}é".encode(), "holds no token"),
        (TEXT.encode() + b"\xff", "is not UTF-8"),
        (TEXT.encode() * 10_000, "is too large"),
    ],
)
def test_a_token_that_is_none_is_refused_and_not_shown(
    tmp_path: Path, content: bytes, why: str
) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(SettingsError, match=f"token: {why}") as raised:
        client_options(token_settings(tmp_path / "token"))
    assert TEXT not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "why"), [(None, "no such file"), (b"\n", "is empty"), (b"\xff", "is not UTF-8")]
)
def test_a_password_file_that_is_none_is_named(
    scram: Settings, tmp_path: Path, content: bytes | None, why: str
) -> None:
    (tmp_path / "password").unlink()
    if content is not None:
        (tmp_path / "password").write_bytes(content)
    with pytest.raises(SettingsError, match=f"sasl_password_file .*password: {why}"):
        client_options(scram)


def test_an_authority_file_that_is_none_is_named(tmp_path: Path) -> None:
    settings = Settings(security_protocol="SSL", ssl_cafile=str(tmp_path / "ca.pem"))
    with pytest.raises(SettingsError, match=r"ssl_cafile .*ca.pem: no such file"):
        client_options(settings)
    (tmp_path / "ca.pem").write_text("junk")
    with pytest.raises(SettingsError, match=r"ssl_cafile .*ca.pem: no certificate"):
        client_options(settings)


@pytest.fixture
def own(authority: Authority, tmp_path: Path) -> Settings:
    """Settings with a client certificate whose key is locked."""
    pair = authority.issue("client", password=TEXT.encode())
    (tmp_path / "client.pem").write_text(pair.certificate)
    (tmp_path / "client.key").write_text(pair.key)
    (tmp_path / "key-password").write_text(f"{TEXT}\n")
    return Settings(
        security_protocol="SSL",
        ssl_certfile=str(tmp_path / "client.pem"),
        ssl_keyfile=str(tmp_path / "client.key"),
        ssl_key_password_file=str(tmp_path / "key-password"),
    )


def test_a_client_certificate_is_loaded(own: Settings) -> None:
    assert client_options(own)["ssl_context"] is not None


def test_a_locked_key_without_its_password_is_refused_and_nobody_is_asked(own: Settings) -> None:
    """OpenSSL would ask on the terminal, and a worker would wait there for ever."""
    with pytest.raises(SettingsError, match="an encrypted key needs its password in ssl_key_pass"):
        client_options(replace(own, ssl_key_password_file=""))


def test_a_client_certificate_that_cannot_be_used_is_named(
    own: Settings, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "key-password").write_text("wrong-Pass-8")
    with pytest.raises(SettingsError, match=r"client.key cannot be used") as raised:
        client_options(own)
    assert "wrong-Pass-8" not in str(raised.value)
    (tmp_path / "client.key").write_text(authority.issue("other").key)
    with pytest.raises(SettingsError, match="key values mismatch"):
        client_options(own)
    (tmp_path / "client.key").unlink()
    with pytest.raises(SettingsError, match=r"ssl_keyfile .*client.key: no such file"):
        client_options(own)
    (tmp_path / "client.pem").unlink()
    with pytest.raises(SettingsError, match=r"ssl_certfile .*client.pem: no such file"):
        client_options(own)
