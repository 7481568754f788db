"""Asks the worker of this machine how it is, at its metrics and health port."""

from __future__ import annotations

import http.client

from stream_app.errors import UserError
from stream_app.settings import Settings

ANY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - only read
"""Where a worker that listens everywhere is asked from its own machine."""


def ask(settings: Settings, what: str, timeout_s: float) -> tuple[bool, str]:
    """Whether `/health/<what>` answers with 200, and its text or why there is none.

    Raises `UserError` when the settings leave the port to chance.
    """
    if settings.metrics_port == 0:
        raise UserError("metrics_port is 0, so the worker chose a port that nobody knows: set one")
    host = ANY_ADDRESS.get(settings.metrics_host, settings.metrics_host)
    connection = http.client.HTTPConnection(host, settings.metrics_port, timeout=timeout_s)
    try:
        connection.request("GET", f"/health/{what}")
        response = connection.getresponse()
        said = response.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return False, f"no answer from {host}:{settings.metrics_port}: {error or repr(error)}"
    finally:
        connection.close()
    return response.status == http.client.OK, said
