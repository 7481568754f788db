"""Who may call: on loopback everybody of this machine, elsewhere whoever has the token.

A web page in a browser on this machine is not "of this machine": it can send requests to loopback
addresses, and by DNS rebinding read the answers. So without a token the `Host` must be a loopback
name, and a body must be of a type that a browser does not send across origins without asking.
"""

from __future__ import annotations

import hmac
from ipaddress import ip_address
from urllib.parse import urlsplit

from stream_app.errors import UserError
from stream_app.secret import Secret

SHORTEST_TOKEN = 16
_SCHEME = "Bearer "


class Guard:
    """Decides by the headers of a request."""

    def __init__(self, host: str, token: Secret) -> None:
        """Guard a service bound to `host`; raises UserError for one that others reach unguarded."""
        if not token and not is_loopback(host):
            raise UserError(
                f"{host} is not a loopback address: whoever reaches it could read the lists of all "
                "users and send events. Set a token by --token-file or STREAM_APP_GATEWAY_TOKEN, "
                "or leave --host at 127.0.0.1"
            )
        if token and len(token.reveal()) < SHORTEST_TOKEN:
            raise UserError(
                f"the token has {len(token.reveal())} characters; use at least {SHORTEST_TOKEN} "
                "random ones"
            )
        self._token = token

    def refusal(self, host: str, authorization: str) -> tuple[int, str] | None:
        """HTTP status and reason for turning a request away, from its headers; None: let in."""
        if self._token:
            given = authorization.removeprefix(_SCHEME).encode()
            right = hmac.compare_digest(given, self._token.reveal().encode())
            if not (right and authorization.startswith(_SCHEME)):
                return 401, "this needs the header Authorization: Bearer TOKEN"
            return None
        if not is_loopback(_name_in(host)):
            return 403, f"the host {host!r} is not this machine; without a token only it is served"
        return None


def _name_in(host: str) -> str:
    """The name in a `Host` header, without the port; empty where there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
