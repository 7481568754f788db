"""The handlers: a request becomes questions to the worker, their answers JSON."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import msgspec
from aiohttp import hdrs, web

from schemas import Purchase, encode
from stream_app.inspector.about_control import about_control
from stream_app.inspector.about_item import about_item, find_items
from stream_app.inspector.about_user import about_user, history
from stream_app.inspector.access import JSON
from stream_app.inspector.engine import BusyError, EngineQuestions
from stream_app.inspector.feed import Feed
from stream_app.inspector.figures import Figures
from stream_app.inspector.live import Live
from stream_app.inspector.problems import Problem, checked_id, checked_text
from stream_app.inspector.sending import ASKED_ACTIONS, event_of, stream_now
from stream_app.inspector.worker import Row, UnreachableError, Worker
from stream_app.live_catalogue import CatalogueStatus
from stream_app.reasons import languages

Shown = dict[str, Any]

MOST_USERS = 50
GLANCE_S = 1.0
"""An overview waits no longer for what only the engine knows."""
SILENCE_S = 15.0
"""After this a comment says that the stream of events is alive."""


class Pages:
    """Of one worker; use from the inspector's event loop."""

    def __init__(
        self,
        worker: Worker,
        feed: Feed,
        figures: Figures,
        *,
        writes: bool,
    ) -> None:
        """`writes` says whether events may be sent."""
        self._worker = worker
        self._feed = feed
        self._figures = figures
        self._writes = writes
        self._questions = EngineQuestions(worker.engine)
        self._live = Live(worker, feed, figures, self._questions)

    async def overview(self, _: web.Request) -> web.Response:
        """`GET /api/overview`: what runs, and how it is; also while the engine does not answer."""
        main, seen = self._worker.releases.main, self._worker.look()
        manifest, now_ms = main.bundle.manifest, _now_ms()
        created_s = manifest.created_at.timestamp()
        try:
            status: CatalogueStatus | None = await self._questions.ask(
                main.catalogue.status, GLANCE_S
            )
        except BusyError:
            status = None
        catalogue = None if status is None else status._asdict()
        recall = None if catalogue is None else catalogue.pop("recall")
        return _json(
            {
                "version": version("stream-app"),
                "app_id": self._worker.app_id,
                "now_ms": now_ms,
                "release": {
                    "release": main.bundle.release,
                    "name": manifest.name,
                    "version": manifest.version,
                    "created_at": manifest.created,
                    "age_s": round(now_ms / 1e3 - created_s),
                    "backend": main.bundle.encoder.backend,
                    "items": len(main.bundle.catalog),
                },
                "challengers": [one.bundle.release for one in self._worker.releases.challengers],
                "state": seen.state,
                "ready": seen.ready,
                "partitions": [
                    {"topic": topic, "partition": number, "lag": one.lag}
                    for (topic, number), one in sorted(seen.partitions.items())
                ],
                "users": self._figures.users(),
                "catalogue": catalogue,
                "recall": recall,
                "list_length": self._worker.list_length,
                "writes": self._writes,
                "actions": ASKED_ACTIONS,
                "languages": languages(),
            }
        )

    async def live(self, request: web.Request) -> web.StreamResponse:
        """`GET /api/live`: server-sent events until the listener goes."""
        user = request.query.get("user")
        stream = self._live.open(None if user is None else checked_id("user", user).encode())
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "text/event-stream"})
        try:
            await response.prepare(request)
            await response.write(b"retry: 2000\n\n")
            while True:
                await response.write(await stream.next(SILENCE_S) or b": still here\n\n")
        except ConnectionError:  # the listener has gone
            return response
        finally:
            self._live.close(stream)

    async def users(self, _: web.Request) -> web.Response:
        """`GET /api/users`: who was active last."""
        recent = self._feed.users(MOST_USERS)
        rows = await self._worker.rows([one.user for one in recent])
        held = [(one, row.state) for one, row in zip(recent, rows, strict=True) if row.state]
        main = self._worker.releases.main
        last = await self._questions.ask(
            lambda: [next(iter(history(main, state, 1)), None) for _, state in held]
        )
        return _json(
            {
                "users": [
                    {
                        "user_id": one.user.decode(),
                        "at_ms": one.at_ms,
                        "events": state.events,
                        "last_item": item,
                    }
                    for (one, state), item in zip(held, last, strict=True)
                ]
            }
        )

    async def user(self, request: web.Request) -> web.Response:
        """`GET /api/users/{user_id}`: what they did, and their list with its reasons."""
        user_id = checked_id("user_id", request.match_info["user_id"])
        language = request.query.get("lang", languages()[0])
        if language not in languages():
            known = ", ".join(languages())
            raise Problem(400, f"there are no sentences in {language[:20]!r}", f"use {known}")
        row = await self._row(user_id)
        state = row.state
        if state is None:
            raise _no_row(user_id, row)
        shown = await self._questions.ask_in_steps(
            lambda: about_user(self._worker.releases, user_id, state, language)
        )
        return _json({**shown, "partition": row.partition})

    async def send(self, request: web.Request) -> web.Response:
        """`POST /api/users/{user_id}/events`: an event as that user; answered when Kafka has it."""
        if not self._writes:
            raise Problem(
                403, "this inspector sends no events", "start the worker with inspector_writes"
            )
        user_id = checked_id("user_id", request.match_info["user_id"])
        if request.content_type != JSON:
            raise Problem(415, f"the content type is {request.content_type!r}", f"send {JSON}")
        body = await request.read()
        event = event_of(user_id, body, _now_ms())
        await self._row(user_id)
        main = self._worker.releases.main
        catalog = main.bundle.catalog
        place, at_ms = await self._questions.ask(
            lambda: (catalog.index_of(event.item_id), stream_now(main, event.timestamp_ms))
        )
        if place < 0:
            raise _no_item(event.item_id)
        event = msgspec.structs.replace(event, timestamp_ms=at_ms)
        try:
            topic, partition, offset = await self._worker.publish(
                purchase=isinstance(event, Purchase), user=user_id.encode(), value=encode(event)
            )
        except UnreachableError as error:  # after 503 a page sends again, and this may arrive yet
            hint = "see whether it has arrived before you send it again"
            raise Problem(504, str(error), hint) from None
        sent = {"event_id": event.event_id, "topic": topic, "partition": partition}
        return _json({**sent, "offset": offset, "at_ms": at_ms}, status=202)

    async def items(self, request: web.Request) -> web.Response:
        """`GET /api/items?q=`: items by id or title."""
        text = checked_text("q", request.query.get("q", ""))
        main = self._worker.releases.main
        return _json(await self._questions.ask_in_steps(lambda: find_items(main, text)))

    async def item(self, request: web.Request) -> web.Response:
        """`GET /api/items/{item_id}`: what is known of an item."""
        item_id = checked_id("item_id", request.match_info["item_id"])
        main = self._worker.releases.main
        shown = await self._questions.ask(lambda: about_item(main, item_id))
        if shown is None:
            raise _no_item(item_id)
        return _json(shown)

    async def control(self, _: web.Request) -> web.Response:
        """`GET /api/control`: rules, scenarios and experiments."""
        releases, figures = self._worker.releases, self._figures
        return _json(await self._questions.ask(lambda: about_control(releases, figures)))

    async def dead_letters(self, _: web.Request) -> web.Response:
        """`GET /api/dead-letters`: the last ones of this worker, without what was in them."""
        return _json(
            {
                "total": self._feed.dead_letters,
                "dead_letters": [
                    {
                        "topic": one.topic,
                        "partition": one.partition,
                        "offset": one.offset,
                        "reason": one.reason,
                        "detail": one.detail,
                        "at_ms": one.timestamp_ms,
                    }
                    for one in self._feed.letters()
                ],
            }
        )

    async def _row(self, user_id: str) -> Row:
        (row,) = await self._worker.rows([user_id.encode()])
        if not row.here and not (seen := self._worker.look()).ready:
            raise UnreachableError(f"the rows are not complete yet: {seen.state}")
        if not row.here:
            raise Problem(
                404,
                f"user {user_id!r} is in partition {row.partition}, which is not this worker's",
                "ask the inspector of the worker that has it",
                user_id=user_id, partition=row.partition, here=False,
            )  # fmt: skip
        return row


def _no_row(user_id: str, row: Row) -> Problem:
    place = {"user_id": user_id, "partition": row.partition, "here": True}
    if row.problem:
        return Problem(404, row.problem, None, **place)
    return Problem(
        404, f"nothing is known of user {user_id!r}", "check the id; an event makes them known",
        **place,
    )  # fmt: skip


def _no_item(item_id: str) -> Problem:
    return Problem(404, f"item {item_id!r} is not in the catalogue", "look for it by its title")


def _json(shown: Shown, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(shown), status=status, content_type=JSON)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
