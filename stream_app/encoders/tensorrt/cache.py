"""Plans kept between starts, in a directory that nobody else can write to.

A plan is executable code. So the directory must belong to this user and be closed to all others,
and so must each file. The SHA-256 in a file's first line finds damage; it is the owner of the
directory, not the checksum, that is trusted.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from stream_app.encoders.tensorrt.build import Recipe
from stream_app.encoders.tensorrt.library import TensorrtError

log = logging.getLogger(__name__)

FORMAT = 1  # raised when plans of an older release of this package must not be taken
KEPT = 32  # newest plans; one is a few MB
PRIVATE = 0o700
OTHERS = 0o077

Fields = Mapping[str, str]


class _Header(msgspec.Struct):
    """First line of a file of the cache."""

    sha256: str
    fields: dict[str, str]


class PlanCache:
    """Plans by everything that they depend on. What cannot be used is as good as not there."""

    def __init__(self, directory: Path) -> None:
        """Make the directory if need be. Raises `TensorrtError` if others can write to it."""
        self._directory = directory
        try:
            directory.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            # Kept open: the name could be given to another directory after the check.
            self._handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            raise TensorrtError(f"engine cache {directory}: {error.strerror}") from error
        try:
            _expect_private(os.fstat(self._handle), directory)
        except TensorrtError:
            os.close(self._handle)
            raise

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self._handle)

    def get(self, fields: Fields) -> bytes | None:
        """The plan made with just these fields; None where there is none that can be trusted."""
        name = _file_name(fields)
        try:
            return self._read(name, fields)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TensorrtError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            log.warning("engine cache %s: %s: %s; it is built again", self._directory, name, why)
            return None

    def put(self, fields: Fields, plan: bytes) -> None:
        """Keep a plan; the oldest ones go. A full disk costs the next start a build, no more."""
        header = _Header(hashlib.sha256(plan).hexdigest(), dict(fields))
        draft = f".{_file_name(fields)}.{os.getpid()}"
        try:
            with suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=self._handle)
            descriptor = os.open(
                draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self._handle
            )
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(header) + b"\n" + plan)
            os.replace(draft, _file_name(fields), src_dir_fd=self._handle, dst_dir_fd=self._handle)
            self._drop_oldest()
        except OSError as error:
            with suppress(OSError):
                os.unlink(draft, dir_fd=self._handle)
            log.warning("engine cache %s: not kept: %s", self._directory, error.strerror)

    def _drop_oldest(self) -> None:
        names = [name for name in os.listdir(self._handle) if name.endswith(".plan")]
        age = {name: os.stat(name, dir_fd=self._handle).st_mtime_ns for name in names}
        for name in sorted(names, key=age.__getitem__)[:-KEPT]:
            os.unlink(name, dir_fd=self._handle)

    def _read(self, name: str, fields: Fields) -> bytes:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self._handle)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("is not a plain file")
            _expect_private(status, self._directory / name)
            line, plan = file.readline(), file.read()
        try:
            header = msgspec.json.decode(line, type=_Header)
        except msgspec.MsgspecError as error:
            raise ValueError("has no header") from error
        if header.fields != fields or header.sha256 != hashlib.sha256(plan).hexdigest():
            raise ValueError("is damaged")
        return plan


def plan_fields(
    machine: Fields, library: str, version: str, recipe: Recipe, content: Fields
) -> dict[str, str]:
    """All that a plan depends on; `content` is the checksum of its graph."""
    return {
        "format": str(FORMAT),
        "library": library,
        "version": version,
        **machine,
        "regimes": str(recipe.regimes),
        "window": str(recipe.window),
        "refit": str(recipe.refit),
        **content,
    }


def default_directory() -> Path:
    """Where plans are kept: `stream-app/engines` in `XDG_CACHE_HOME`, else in `~/.cache`.

    A user without a home gets a new one for this process, under the system's temporary directory.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not os.path.isabs(base):
        return Path(tempfile.mkdtemp(prefix="stream-app-engines-"))
    return Path(base) / "stream-app" / "engines"


def _file_name(fields: Fields) -> str:
    return hashlib.sha256(msgspec.json.encode(dict(fields), order="sorted")).hexdigest() + ".plan"


def _expect_private(status: os.stat_result, path: Path) -> None:
    if status.st_uid != os.geteuid():
        raise TensorrtError(f"{path} belongs to user {status.st_uid}, not to this one; remove it")
    if status.st_mode & OTHERS:
        raise TensorrtError(
            f"{path} is open to other users (mode {stat.S_IMODE(status.st_mode):o}); "
            f"close it with chmod {'700' if stat.S_ISDIR(status.st_mode) else '600'}"
        )
