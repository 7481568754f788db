"""Asks workers at their metrics ports: readiness, release, users."""

from __future__ import annotations

import http.client
from collections.abc import Sequence

from prometheus_client.parser import text_string_to_metric_families

from stream_app.status.report import WorkerAnswer

TIMEOUT_S = 3.0


def ask_workers(addresses: Sequence[str]) -> list[WorkerAnswer]:
    """One answer for each address `host:port`, in order."""
    return [_ask(address) for address in addresses]


def _ask(address: str) -> WorkerAnswer:
    name, _, number = address.rpartition(":")
    host, port = name.strip("[]"), int(number)
    try:
        status, state = _get(host, port, "/health/ready")
        _, text = _get(host, port, "/metrics")
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    except (OSError, http.client.HTTPException, ValueError) as error:
        return WorkerAnswer(address, ready=False, state=f"no answer: {error or repr(error)}")
    release = users = None
    for sample in samples:
        if sample.name == "stream_app_release_info":
            release = "{name}@{version} on {backend}".format_map(sample.labels)
        elif sample.name == "stream_app_users":
            users = int(sample.value)
    return WorkerAnswer(address, status == http.client.OK, state.strip(), release, users)


def _get(host: str, port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    finally:
        connection.close()
