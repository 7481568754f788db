"""Who may look, what a browser may do with the answers, and where a request may come from."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from stream_app.guard import Guard

JSON = "application/json"
TOKEN = "token"  # noqa: S105 - its name in the address
_SITE = "Sec-Fetch-Site"

HEADERS = {
    # Nothing but what this server sends is loaded, run or shown, and no other page may embed it.
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'; object-src 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
"""On every answer."""


class Access:
    """A guard, and what browsers need beside it."""

    def __init__(self, guard: Guard, port: int) -> None:
        """`port` is where this service listens: cookies do not tell ports apart."""
        self._guard = guard
        self._address = f"http://127.0.0.1:{port}"
        self._cookie = f"stream-app-inspector-{port}"

    def refusal(self, request: web.Request) -> tuple[int, str, str] | None:
        """Status, reason and what to do for a request that is turned away; None: let in."""
        headers = request.headers
        refused = self._guard.refusal(
            headers.get(hdrs.HOST, ""),
            headers.get(hdrs.AUTHORIZATION, ""),
            request.cookies.get(self._cookie, ""),
        )
        if refused is not None:
            status, reason = refused
            if status != 401:
                return status, reason, f"open {self._address}"
            if not self._guard.is_token(given := request.query.get(TOKEN, "")) and given:
                reason = "this is not the token of this worker"
            return status, reason, "open /?token=TOKEN once; it is in inspector_token_file"
        if request.path.startswith("/api/") and not is_same_origin(headers):
            return 403, "the request comes from another site", "open the page of the inspector"
        return None

    def login(self, request: web.Request) -> web.Response | None:
        """For an address with the right `?token=`: a cookie, and the same page without it."""
        given = request.query.get(TOKEN)
        if given is None or request.method != hdrs.METH_GET or request.path != "/":
            return None
        if not self._guard.is_token(given):
            return None
        response = web.Response(status=303, headers={hdrs.LOCATION: "/"})
        response.set_cookie(
            self._cookie, self._guard.cookie, httponly=True, samesite="Strict", path="/",
            secure=request.secure,
        )  # fmt: skip
        return response


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a request is from a page of ours, or from no page at all.

    Browsers say where a request comes from: by `Sec-Fetch-Site` (W3C Fetch Metadata), and by
    `Origin` (RFC 6454) whenever something is posted.
    """
    if headers.get(_SITE, "none") not in ("same-origin", "none"):
        return False
    origin = headers.get(hdrs.ORIGIN)
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc == headers.get(hdrs.HOST, "") != ""
    except ValueError:
        return False
