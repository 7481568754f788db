"""Checks of this machine: what is installed, the release, directories, ports and limits."""

from __future__ import annotations

import os
import resource
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from stream_app.doctor.finding import Finding, NotChecked
from stream_app.errors import UserError
from stream_app.observability.health import ask
from stream_app.observability.server import MetricsServerError, check_address
from stream_app.serving import challenging, serving
from stream_app.settings import Settings
from stream_app.streaming.internals import PINNED, wrong_versions

OPEN_FILES = 1024
"""Connections to brokers, the ports, and the files of the package, with room."""
OPEN_FILES_ROCKSDB = 4096
"""RocksDB keeps the files of every partition open."""
FREE_BYTES = 1 << 30
"""RocksDB needs room for rows and for rewriting them; below this it stops writing."""

ANSWER_S = 1.0

Check = Callable[[Settings], list[Finding]]


def versions(settings: Settings) -> list[Finding]:
    """The libraries whose private names the streaming layer relies on."""
    return [
        Finding(
            check="versions",
            what=f"{package} {installed} is installed instead of {PINNED[package]}",
            why="the streaming layer relies on private names of exactly that release; a worker "
            "does not start",
            fix=f"install {PINNED[package]}",
            command=f"{sys.executable} -m pip install {package}=={PINNED[package]}",
        )
        for package, installed in wrong_versions().items()
    ]


def bundle(settings: Settings) -> list[Finding]:
    """The release and its challengers: manifest, checksums, signature, encoder, golden batch."""
    if not settings.bundle:
        raise NotChecked("no bundle is given; pass --bundle DIR")
    try:
        serving(settings)
        challenging(settings)
    except UserError as error:
        key = f" --public-key {settings.bundle_public_key}" if settings.bundle_public_key else ""
        return [
            Finding(
                check="bundle",
                what=str(error),
                why="a worker does not start with it",
                fix="copy the release again from where it was made, or mend what is said, until "
                "this passes",
                command=f"stream-app bundle verify {settings.bundle}{key}",
            )
        ]
    return []


def state_directory(settings: Settings) -> list[Finding]:
    """Where RocksDB keeps rows."""
    if settings.state_store != "rocksdb":
        raise NotChecked(f"state_store is {settings.state_store}: nothing is kept on disk")
    if find_spec("rocksdict") is None:
        return [
            Finding(
                check="state-directory",
                what="state_store is rocksdb, but the package rocksdict is not installed",
                why="a worker does not start",
                fix="install it",
                command=f"{sys.executable} -m pip install 'stream-app[rocksdb]'",
            )
        ]
    wanted = Path(settings.state_dir) / settings.app_id
    there = _existing(wanted)
    if problem := _unwritable(there):
        return [
            Finding(
                check="state-directory",
                what=f"state_dir {wanted} cannot be written: {there} {problem}",
                why="a worker that keeps its rows on disk does not start",
                fix="give it a directory that its user may write to",
                command=f"install -d -m 700 -o {os.geteuid()} {wanted}",
            )
        ]
    free = shutil.disk_usage(there).free
    if free < FREE_BYTES:
        return [
            Finding(
                check="state-directory",
                severity="warning",
                what=f"{there} has {free >> 20} MiB free",
                why="RocksDB stops writing when the disk is full, and the worker ends",
                fix="make room, or set state_dir to a larger disk",
                command=f"du -xh --max-depth 2 {there}",
            )
        ]
    return []


def _existing(path: Path) -> Path:
    """The path, or the nearest directory above it that is there."""
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _unwritable(path: Path) -> str | None:
    if not path.is_dir():
        return "is no directory"
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return "is on a disk that is mounted read-only"
    return None if os.access(path, os.W_OK | os.X_OK) else "may not be written by this user"


def port(settings: Settings) -> list[Finding]:
    """The ports of metrics and inspector, unless a worker has them already."""
    found = []
    places = [("metrics", settings.metrics_host, settings.metrics_port)]
    if settings.inspector_port:
        places.append(("inspector", settings.inspector_host, settings.inspector_port))
    for whose, host, number in places:
        try:
            check_address(number, host)
        except MetricsServerError:
            if ask(settings, "live", ANSWER_S)[0]:  # ours has it
                return []
            found.append(
                Finding(
                    check="port",
                    what=f"{whose} port {number} on {host} cannot be opened",
                    why="a worker does not start",
                    fix=f"end what listens on {host}:{number}, or give the worker another "
                    f"{whose}_port",
                    command=f"ss -ltnp 'sport = :{number}'",
                )
            )
    return found


def open_files(settings: Settings) -> list[Finding]:
    """How many files a process may have open."""
    needed = OPEN_FILES_ROCKSDB if settings.state_store == "rocksdb" else OPEN_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return []
    enough = hard == resource.RLIM_INFINITY or hard >= needed
    return [
        Finding(
            check="open-files",
            severity="warning",
            what=f"a process may open {soft} files; {needed} are needed",
            why="a worker that cannot open another file or connection ends",
            fix="raise the limit where the worker is started"
            + ("" if enough else f", and the hard limit, which is {hard}"),
            command=f"ulimit -n {needed}",
        )
    ]


CHECKS: dict[str, Check] = {
    "versions": versions,
    "bundle": bundle,
    "state-directory": state_directory,
    "port": port,
    "open-files": open_files,
}
