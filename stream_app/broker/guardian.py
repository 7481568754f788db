"""Run Java for exactly as long as the parent process lives, even if that is killed with SIGKILL.

A program of its own with nothing but the standard library, started by `server.py` as
`guardian.py PARENT_PID DIRECTORY_TO_REMOVE COMMAND...`. Its standard input is a pipe whose other
end only the parent holds: the end of the file means that the parent is gone, however it went.
A process that the parent forked may keep the pipe open, so the parent's id is watched too.

Orders on the pipe: `t` = terminate, `k` = kill; the end of the file = terminate, then remove the
directory (may be empty = none). It prints Java's process id and exits with Java's exit code.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys

POLL_S = 0.1
"""How soon an ended Java, or a parent whose pipe lives on in a fork, is noticed."""
GRACE_S = 20
"""A broker that has not shut down by then is killed; it recovers its log at the next start."""


def main() -> int:
    """Start the command, wait for an order, the parent's end or Java's, and clean up."""
    parent, directory, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    java = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr, preexec_fn=_die_with_me
    )
    order = ""
    try:
        print(java.pid, flush=True)
        order = _await_order(java, parent)
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    finally:
        _end(java, kill=order == "k")
        if directory and order == "":
            shutil.rmtree(directory, ignore_errors=True)
    return java.returncode if java.returncode >= 0 else 128 - java.returncode


def _await_order(java: subprocess.Popen[bytes], parent: int) -> str:
    """Return the order; "" when the parent has gone, "x" when Java has ended by itself."""
    while java.poll() is None:
        readable, _, _ = select.select([0], [], [], POLL_S)
        if readable:
            return os.read(0, 1).decode()
        if os.getppid() != parent:
            return ""
    return "x"


def _end(java: subprocess.Popen[bytes], *, kill: bool) -> None:
    if java.poll() is None:
        java.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
    try:
        java.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        java.kill()
        java.wait()


def _die_with_me() -> None:
    """On Linux, end Java even if this process is killed; it has one thread, so this is safe."""
    if sys.platform == "linux":
        import ctypes

        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
