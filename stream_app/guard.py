"""Who may call over HTTP: on loopback everybody of this machine, elsewhere whoever has the token.

A web page in a browser on this machine is not "of this machine": it can send requests to loopback
addresses, and by DNS rebinding read the answers. So without a token the `Host` must be a loopback
name, and a body must be of a type that a browser does not send across origins without asking.
"""

from __future__ import annotations

import hmac
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from stream_app.errors import UserError
from stream_app.secret import Secret

SHORTEST_TOKEN = 16
_SCHEME = "Bearer "
_COOKIE = b"stream-app cookie"


class Guard:
    """Decides by the headers of a request."""

    def __init__(self, host: str, token: Secret, cure: str) -> None:
        """Guard a service bound to `host`; raises UserError for one that others reach unguarded.

        `cure` is what to do then, as a sentence.
        """
        if not token and not is_loopback(host):
            raise UserError(
                f"{host} is not a loopback address: whoever reaches it could read the lists of all "
                f"users and send events. {cure}"
            )
        if token and len(token.reveal()) < SHORTEST_TOKEN:
            raise UserError(
                f"the token has {len(token.reveal())} characters; use at least {SHORTEST_TOKEN} "
                "random ones"
            )
        self._token = token

    @property
    def cookie(self) -> str:
        """What a browser that had the token keeps in its place; empty where there is no token.

        Made of it by HMAC-SHA-256 (RFC 2104): it opens this service and is not the token.
        """
        if not self._token:
            return ""
        return hmac.new(self._token.reveal().encode(), _COOKIE, "sha256").hexdigest()

    def is_token(self, given: str) -> bool:
        """Whether this is the token; never where there is none."""
        right = self._token.reveal().encode()
        return bool(self._token) and hmac.compare_digest(_bytes(given), right)

    def refusal(self, host: str, authorization: str, cookie: str = "") -> tuple[int, str] | None:
        """HTTP status and reason for turning a request away, from its headers; None: let in."""
        if self._token:
            bearer = authorization.startswith(_SCHEME)
            if bearer and self.is_token(authorization.removeprefix(_SCHEME)):
                return None
            if cookie and hmac.compare_digest(_bytes(cookie), self.cookie.encode()):
                return None
            return 401, "this needs the header Authorization: Bearer TOKEN"
        if not is_loopback(_name_in(host)):
            return 403, f"the host {host!r} is not this machine; without a token only it is served"
        return None


def token_in(file: Path | str, name: str) -> Secret:
    """The token in a file that a setting or flag called `name` gives.

    Raises UserError for a file that cannot be read or holds nothing.
    """
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{name} {file} cannot be read: {error}") from None
    if not text:
        raise UserError(f"{name} {file} is empty")
    return Secret(text)


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _name_in(host: str) -> str:
    """The name in a `Host` header, without the port; empty where there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _bytes(text: str) -> bytes:
    """For comparing: what a header holds need not be UTF-8."""
    return text.encode(errors="surrogateescape")
