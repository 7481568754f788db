"""Kafka's jars: fetched once, verified against the lock file at every start, shared by processes.

A complete cache never touches the network. A missing or damaged file is fetched again; files only
appear under their final name once their sha256 is right.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stream_app.broker.errors import BrokerError, missing_extra
from stream_app.broker.lock import VERSION, Jar, locked_jars

REPOSITORY_VARIABLE = "STREAM_APP_MAVEN_REPOSITORY"
"""URL of a Maven repository to use instead of the central one, such as a company's mirror."""
CACHE_VARIABLE = "STREAM_APP_CACHE"

_ATTEMPTS = 2  # one retry heals a broken connection; more only delay the message
_TIMEOUT_S = 20  # per request, to connect and between two reads
_CONNECTIONS = 4
_LOG = logging.getLogger(__name__)


def default_cache() -> Path:
    """`$STREAM_APP_CACHE`, or `stream-app` in the user's cache directory."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "stream-app"


def class_path(cache: Path | None = None) -> list[Path]:
    """Paths of all jars, verified; those missing or damaged are fetched first.

    Raises `BrokerError` if they cannot be fetched or are not what the lock file promises.
    """
    directory = (cache or default_cache()) / f"kafka-{VERSION}"
    jars = locked_jars()
    if any(not _is_intact(directory, jar) for jar in jars):
        with _only_process(directory):
            # Another process may have fetched them while this one waited.
            _fetch([jar for jar in jars if not _is_intact(directory, jar)], directory)
    return [directory / jar.filename for jar in jars]


def _is_intact(directory: Path, jar: Jar) -> bool:
    path = directory / jar.filename
    try:
        return path.stat().st_size == jar.size and _sha256(path) == jar.sha256
    except FileNotFoundError:
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _only_process(directory: Path) -> Iterator[None]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / ".lock").open("w")
    except OSError as error:
        raise BrokerError(
            f"cannot write to the cache {directory}: {error.strerror}; "
            f"choose another directory with {CACHE_VARIABLE}"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(jars: list[Jar], directory: Path) -> None:
    if not jars:
        return
    size_mb = sum(jar.size for jar in jars) / 1e6
    _LOG.info(
        "fetching Apache Kafka %s: %d jars, %.0f MB, into %s",
        VERSION,
        len(jars),
        size_mb,
        directory,
    )
    with (
        tempfile.TemporaryDirectory(prefix=".fetch-", dir=directory) as scratch,
        ThreadPoolExecutor(_CONNECTIONS) as pool,
    ):
        fetches = [pool.submit(_fetch_one, jar, directory, Path(scratch)) for jar in jars]
        try:
            for fetch in fetches:
                fetch.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _fetch_one(jar: Jar, directory: Path, scratch: Path) -> None:
    problem = ""
    for attempt in range(_ATTEMPTS):
        try:
            path = _download(jar, scratch / f"{attempt}")
        except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
            problem = str(error)
            continue
        if (found := _sha256(path)) == jar.sha256:
            path.replace(directory / jar.filename)
            return
        problem = f"what was received has sha256 {found} instead of {jar.sha256}"
    raise BrokerError(
        f"cannot fetch {jar.coordinate}, which is missing or damaged in {directory}: {problem}; "
        f"connect to the internet for the first start of the embedded Kafka, or set "
        f"{REPOSITORY_VARIABLE} to the URL of a Maven repository that can be reached, "
        f"or copy that directory from a machine where it is complete"
    )


def _download(jar: Jar, repository_cache: Path) -> Path:
    """Download one file with jgo, which speaks to Maven repositories; it does not verify sums."""
    try:
        from jgo.maven import MavenContext
    except ModuleNotFoundError as error:
        raise missing_extra("jgo") from error
    options: dict[str, Any] = {}
    if repository := os.environ.get(REPOSITORY_VARIABLE):
        options["remote_repos"] = {"configured": repository.rstrip("/")}
    context = MavenContext(repo_cache=repository_cache, timeout=_TIMEOUT_S, **options)
    group, artifact, version = jar.coordinate.split(":")
    file = context.project(group, artifact).at_version(version).artifact()
    return Path(context.resolver.download(file))
