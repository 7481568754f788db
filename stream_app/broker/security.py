"""Listeners of the embedded Kafka with TLS and logins, for tests of clients that use them.

Beside the open listener on the loopback, through which the broker talks to itself, there are
`SSL` (asks for a client certificate), `SASL_SSL` and `SASL_PLAINTEXT`. Tokens of OAUTHBEARER are
Kafka's unsecured ones (RFC 7515 appendix A.5): for tests only, as anybody can make one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stream_app.broker.config import HOST, Layout

LISTENERS = ("SSL", "SASL_SSL", "SASL_PLAINTEXT")
SCRAM_MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")

_MODULES = "org.apache.kafka.common.security"

_LOGINS = """\
listener.name.{listener}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.{listener}.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required{users};
listener.name.{listener}.scram-sha-256.sasl.jaas.config={modules}.scram.ScramLoginModule required;
listener.name.{listener}.scram-sha-512.sasl.jaas.config={modules}.scram.ScramLoginModule required;
listener.name.{listener}.oauthbearer.sasl.jaas.config=\
{modules}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";
# A connection ends with its token, so that a client must come back with the next one.
listener.name.{listener}.oauthbearer.connections.max.reauth.ms=3600000
"""

_TLS = """\
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={truststore}
listener.name.ssl.ssl.client.auth=required
"""

# Whoever comes over the open listener (the broker itself, the tests) may do everything, a user
# only what an ACL says.
_ACLS = """\
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users={super_users}
allow.everyone.if.no.acl.found=false
"""


@dataclass(frozen=True)
class BrokerSecurity:
    """What the listeners are made of."""

    keystore: str = field(repr=False)
    """PEM: the broker's private key (PKCS#8, unencrypted) and its certificate chain."""
    truststore: str
    """PEM: the authorities whose client certificates the `SSL` listener accepts."""
    users: Mapping[str, str] = field(repr=False)
    """Password by user name, for PLAIN and SCRAM; without quotes, backslashes, `,` `[` `]`."""
    super_users: tuple[str, ...] = ()
    """Principals that need no ACL, such as `User:ann`."""


def write_security(layout: Layout, security: BrokerSecurity, ports: Mapping[str, int]) -> str:
    """Write the key files, readable only by this user; returns the lines of `server.properties`."""
    for file, content in (
        (layout.root / "keystore.pem", security.keystore),
        (layout.root / "truststore.pem", security.truststore),
    ):
        file.touch(mode=0o600)
        file.write_text(content, "ascii")
    users = "".join(f' user_{name}="{word}"' for name, word in security.users.items())
    logins = [
        _LOGINS.format(listener=listener.lower(), modules=_MODULES, users=users)
        for listener in ports
        if listener.startswith("SASL_")
    ]
    supers = ";".join(("User:ANONYMOUS", *security.super_users))
    tls = _TLS.format(keystore="keystore.pem", truststore="truststore.pem")
    return "\n" + "".join((tls, *logins, _ACLS.format(super_users=supers)))


def listener_lists(ports: Mapping[str, int]) -> tuple[str, str]:
    """What to add to `listeners` and to `listener.security.protocol.map`."""
    return (
        "".join(f",{listener}://{HOST}:{port}" for listener, port in ports.items()),
        "".join(f",{listener}:{listener}" for listener in ports),
    )


def format_arguments(security: BrokerSecurity) -> list[str]:
    """Arguments of the storage tool that create the users of SCRAM."""
    return [
        argument
        for name, word in security.users.items()
        for mechanism in SCRAM_MECHANISMS
        for argument in ("--add-scram", f"{mechanism}=[name={name},password={word}]")
    ]
