"""Reading the files of a bundle, which may come from anybody until its signature is checked."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection
from pathlib import Path

from stream_app.errors import UserError

REBUILD = "rebuild it with `stream-app train`"
SIGNATURE_FILE = "manifest.json.sig"
NO_SIGNATURES = "signatures need the package cryptography: pip install 'stream-app[signing]'"


class BundleError(UserError):
    """A bundle cannot be loaded or written; the message names the file and says what to do."""


class SigningError(UserError):
    """A key cannot be used, or the package for signatures is missing."""


def read_file(path: Path, name: str) -> bytes:
    """Read one plain file of the bundle at `path`; raises `BundleError`.

    A link would let a bundle name any file of this machine, and a pipe would block the reader.
    """
    try:
        # Not to wait for a writer when it is a pipe.
        descriptor = os.open(path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise BundleError(f"bundle {path}: {name} is not a plain file; {REBUILD}")
            return file.read()
    except FileNotFoundError:
        raise BundleError(f"bundle {path}: {name} is missing; {REBUILD}") from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise BundleError(
                f"bundle {path}: {name} is a symbolic link; put the file itself there"
            ) from None
        raise BundleError(f"bundle {path}: {name} cannot be read: {error.strerror}") from error


def refuse_others(path: Path, names: Collection[str]) -> None:
    """Raise `BundleError` when the bundle at `path` holds anything but `names`.

    Nothing reads other files; but a bundle is exactly what its checksums and its signature cover,
    so that nobody comes to trust a file that they do not.
    """
    others = sorted(set(os.listdir(path)) - set(names))
    if others:
        raise BundleError(
            f"bundle {path}: holds {others[0]}, which the manifest does not list; remove it"
        )
