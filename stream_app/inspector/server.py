"""The inspector's server, in a thread and an event loop of its own: what blocks the worker's must
not stop it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from contextlib import suppress

from aiohttp import web
from prometheus_client import REGISTRY, CollectorRegistry

from stream_app.errors import UserError
from stream_app.guard import Guard, token_in
from stream_app.inspector.access import Access
from stream_app.inspector.app import application
from stream_app.inspector.feed import Feed
from stream_app.inspector.figures import Figures
from stream_app.inspector.pages import Pages
from stream_app.inspector.worker import Worker
from stream_app.secret import Secret
from stream_app.settings import Settings

log = logging.getLogger(__name__)

GOODBYE_S = 1.0
"""Listeners are left so long when the server closes."""


class InspectorError(UserError):
    """The inspector cannot be started as it is asked for."""


class Inspector:
    """The running server."""

    def __init__(self, listening: socket.socket, app: web.Application) -> None:
        self._socket = listening
        self._app = app
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="inspector", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it listens, `http://host:port`."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def close(self) -> None:
        """Stop answering and free the port."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=GOODBYE_S)
        await runner.setup()
        try:
            await web.SockSite(runner, self._socket).start()
            await self._stop.wait()
        finally:
            await runner.cleanup()


def start_inspector(
    settings: Settings, worker: Worker, feed: Feed, registry: CollectorRegistry = REGISTRY
) -> Inspector:
    """Serve the inspector of a worker at `inspector_host` and `inspector_port`.

    Raises `InspectorError` for a port that cannot be opened, and UserError for an address that
    others reach without a token.
    """
    host, port = settings.inspector_host, settings.inspector_port
    file = settings.inspector_token_file
    token = token_in(file, "inspector_token_file") if file else Secret()
    guard = Guard(host, token, "Set inspector_token_file, or leave inspector_host at 127.0.0.1")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise InspectorError(
            f"inspector port {port} on {host} cannot be opened: {error}; set another with "
            "--inspector-port"
        ) from error
    pages = Pages(worker, feed, Figures(registry), writes=settings.inspector_writes)
    access = Access(guard, listening.getsockname()[1])
    inspector = Inspector(listening, application(pages, access))
    log.info("the inspector is at %s%s", inspector.address,
             ", and sends events" if settings.inspector_writes else "")  # fmt: skip
    return inspector
