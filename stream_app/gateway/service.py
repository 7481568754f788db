"""The HTTP service. It holds no state: Kafka finds the worker that owns the user, which answers."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any
from uuid import uuid4

from aiohttp import hdrs, web
from aiokafka.errors import KafkaError

from schemas import RECOMMENDATIONS, Click, Impression, Purchase, encode, topic_name
from stream_app.errors import UserError
from stream_app.gateway.answers import Answers, BusyError
from stream_app.gateway.parsing import (
    BadRequestError,
    events_of,
    impressions_of,
    profiles_of,
    request_of,
)
from stream_app.guard import Guard
from stream_app.observability.trace_context import HEADERS
from stream_app.observability.tracing import Tracing
from stream_app.settings import Settings
from stream_app.streaming.clients import EventSender, event_sender, follower

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 1 << 20
"""Some thousand events."""
DELIVERY_S = 30
"""After this an event that the brokers have not acknowledged is given up: it may arrive yet."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Service:
    """The handlers."""

    def __init__(self, sender: EventSender, answers: Answers) -> None:
        self._sender = sender
        self._answers = answers

    async def recommendations(self, request: web.Request) -> web.Response:
        """`GET /v1/users/{user_id}/recommendations`: a list, made now."""
        asked, timeout_s = request_of(
            request.match_info["user_id"], list(request.query.items()), str(uuid4()), _now_ms()
        )
        try:
            made = await self._answers.ask(asked, timeout_s)
        except TimeoutError:
            return _problem(504, f"no worker has answered within {timeout_s:g} s")
        return web.Response(body=encode(made, "json"), content_type="application/json")

    async def events(self, request: web.Request) -> web.Response:
        """`POST /v1/events`: answered when the brokers have them."""
        return await self._send(events_of(await request.read(), request.content_type, _now_ms()))

    async def impressions(self, request: web.Request) -> web.Response:
        """`POST /v1/impressions`: the same for what was shown of lists."""
        return await self._send(
            impressions_of(await request.read(), request.content_type, _now_ms())
        )

    async def profiles(self, request: web.Request) -> web.Response:
        """`POST /v1/profiles`: the same for what is said of users."""
        said = profiles_of(await request.read(), request.content_type)
        return await self._queued(self._sender.send_profile(*one) for one in said)

    async def _send(self, events: Sequence[Click | Purchase | Impression]) -> web.Response:
        return await self._queued(self._sender.send(event) for event in events)

    async def _queued(self, sending: Iterable[Coroutine[Any, Any, Any]]) -> web.Response:
        async with asyncio.timeout(DELIVERY_S):
            queued = [await one for one in sending]
            for sent in queued:
                await sent
        return web.json_response({"sent": len(queued)})

    async def health(self, _: web.Request) -> web.Response:
        """`GET /health`."""
        return web.Response(text="serving\n")


def application(service: Service, guard: Guard, tracing: Tracing | None = None) -> web.Application:
    """The routes behind the guard."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        headers = request.headers
        refusal = guard.refusal(headers.get(hdrs.HOST, ""), headers.get(hdrs.AUTHORIZATION, ""))
        if refusal is not None:
            status, reason = refusal
            return _problem(status, reason)
        try:
            return await handler(request)
        except BadRequestError as error:
            return _problem(400, str(error))
        except BusyError:
            return _problem(503, "too many requests are waiting", retry=True)
        except (KafkaError, TimeoutError) as error:
            log.warning("%s %s: %r", request.method, _route(request), error)
            return _problem(503, "Kafka does not take it at the moment", retry=True)
        except web.HTTPException as error:  # of aiohttp: no such path, method, size
            return _problem(error.status, error.reason)

    @web.middleware
    async def traced(request: web.Request, handler: Handler) -> web.StreamResponse:
        assert tracing is not None
        route = _route(request)
        about = {"http.request.method": request.method, "http.route": route}
        given = request.headers
        headers = [(name, given.get(name, "").encode(errors="replace")) for name in HEADERS]
        with tracing.serve(f"{request.method} {route}", about, headers) as span:
            response = await handler(request)
            if span is not None:
                span.set_attribute("http.response.status_code", response.status)
            return response

    middlewares = [guarded] if tracing is None else [traced, guarded]
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=middlewares)
    app.router.add_get("/v1/users/{user_id}/recommendations", service.recommendations)
    app.router.add_post("/v1/events", service.events)
    app.router.add_post("/v1/impressions", service.impressions)
    app.router.add_post("/v1/profiles", service.profiles)
    app.router.add_get("/health", service.health)
    return app


async def serve(
    settings: Settings, guard: Guard, host: str, port: int, on_ready: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT; `on_ready` is told the address.

    Raises `UserError` when the port cannot be opened, `NoBrokerError`, `AccessError`,
    `TopicsError`, and errors of the Kafka client when the lists cannot be read any more.
    """
    lists = topic_name(settings.topic_prefix, RECOMMENDATIONS)
    async with (
        follower(settings, [lists], from_start=False) as records,
        event_sender(settings, encoding="msgpack", service="stream-app-gateway") as sender,
    ):
        answers = Answers(sender, records)
        runner = web.AppRunner(
            application(Service(sender, answers), guard, sender.tracing), access_log=None
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, port)
            try:
                await site.start()
            except OSError as error:
                raise UserError(f"port {port} on {host} cannot be opened: {error}") from error
            on_ready(f"http://{_address(runner)}")
            await _until_stopped(answers)
        finally:
            await runner.cleanup()


async def _until_stopped(answers: Answers) -> None:
    """Follow the lists until a signal comes; what ends the following is raised."""
    following = asyncio.create_task(answers.follow())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, following.cancel)
    try:
        await following
    except asyncio.CancelledError:
        if asyncio.current_task().cancelling():  # type: ignore[union-attr]
            raise


def _route(request: web.Request) -> str:
    """The path as it is served: one that was called has users in it."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "/"


def _address(runner: web.AppRunner) -> str:
    host, port, *_ = runner.addresses[0]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _problem(status: int, reason: str, *, retry: bool = False) -> web.Response:
    headers = {hdrs.RETRY_AFTER: "1"} if retry else {}
    if status == 401:
        headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    return web.json_response({"error": reason}, status=status, headers=headers)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
