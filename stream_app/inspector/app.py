"""The HTTP interface of the inspector: its addresses, and what is wrong when something is."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

import msgspec
from aiohttp import hdrs, web

from stream_app.errors import UserError
from stream_app.inspector.access import HEADERS, Access
from stream_app.inspector.engine import BusyError
from stream_app.inspector.pages import Pages
from stream_app.inspector.problems import Problem
from stream_app.inspector.worker import UnreachableError

log = logging.getLogger(__name__)

STATIC = files("stream_app.inspector") / "static"
KINDS = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "json": "application/json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "txt": "text/plain",
}
"""Of static files, by the ends of their names."""
MAX_BODY_BYTES = 4 * 1024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(pages: Pages, access: Access) -> web.Application:
    """The routes behind the guard."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if (refused := access.refusal(request)) is not None:
            return access.login(request) or turned_away(request, *refused)
        if (entered := access.login(request)) is not None:
            return entered
        try:
            return await handler(request)
        except Problem as problem:
            return answer_problem(problem.status, str(problem), problem.hint, **problem.more)
        except (BusyError, UnreachableError) as error:
            return answer_problem(503, str(error), "try again")
        except UserError as error:
            return answer_problem(400, str(error), None)
        except web.HTTPException as error:  # of aiohttp: no such path, method, size
            return answer_problem(error.status, error.reason, None)
        except Exception:
            # The path may name a user, the route does not.
            resource = request.match_info.route.resource
            log.exception("%s %s", request.method, resource.canonical if resource else "/")
            return answer_problem(500, "the inspector failed", "the worker's log says how")

    async def secured(_: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(HEADERS)

    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[guarded])
    app.on_response_prepare.append(secured)
    app.router.add_get("/", index)
    app.router.add_get("/static/{path:.+}", static)
    app.router.add_get("/api/overview", pages.overview)
    app.router.add_get("/api/live", pages.live, allow_head=False)  # it has no end
    app.router.add_get("/api/users", pages.users)
    app.router.add_get("/api/users/{user_id}", pages.user)
    app.router.add_post("/api/users/{user_id}/events", pages.send)
    app.router.add_get("/api/items", pages.items)
    app.router.add_get("/api/items/{item_id}", pages.item)
    app.router.add_get("/api/control", pages.control)
    app.router.add_get("/api/dead-letters", pages.dead_letters)
    return app


async def index(_: web.Request) -> web.Response:
    """`GET /`."""
    return _file("index.html")


async def static(request: web.Request) -> web.Response:
    """`GET /static/...`."""
    return _file(request.match_info["path"])


def turned_away(request: web.Request, status: int, error: str, hint: str) -> web.Response:
    """As `answer_problem`; for somebody who opens the page in a browser as sentences."""
    answer = answer_problem(status, error, hint)
    if "text/html" in request.headers.get(hdrs.ACCEPT, ""):
        answer.text = f"The inspector does not let you in: {error}.\nTo look: {hint}.\n"
        answer.content_type = "text/plain"
    return answer


def answer_problem(status: int, error: str, hint: str | None, **more: Any) -> web.Response:
    """What was wrong, and what to do."""
    headers = {hdrs.RETRY_AFTER: "1"} if status == 503 else {}
    if status == 401:
        headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    body = msgspec.json.encode({"error": error, "hint": hint, **more})
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def _file(path: str) -> web.Response:
    """A file of the page; nothing outside of its directory has such a name."""
    parts = path.split("/")
    kind = KINDS.get(path.rpartition(".")[2])
    file = STATIC.joinpath(*parts)
    if kind is None or any(part in ("", ".", "..") for part in parts) or not file.is_file():
        raise Problem(404, f"there is no file {path!r}", None)
    return web.Response(body=file.read_bytes(), content_type=kind, charset="utf-8")
