"""The embedded Kafka: a real Apache Kafka on this machine for the demo, development and tests."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from stream_app.broker import config, guardian
from stream_app.broker.config import HOST, Layout
from stream_app.broker.errors import BrokerError
from stream_app.broker.failures import explain_failure, port_was_taken
from stream_app.broker.jars import class_path
from stream_app.broker.ports import check_port, free_ports, more_ports
from stream_app.broker.readiness import serving_cluster
from stream_app.broker.security import (
    LISTENERS,
    BrokerSecurity,
    format_arguments,
    listener_lists,
    write_security,
)

_START_TIMEOUT_S = 90  # 2 s on idle cores; a loaded machine may need many times that
_POLL_S = 0.02
_PORT_ATTEMPTS = 3  # a free port can be taken by another process before Java binds it
_LOG = logging.getLogger(__name__)


class EmbeddedKafka:
    """One Kafka broker that ends with this process, however this process ends.

    `data_dir` holds topics and log files; without one, a temporary directory is used and removed
    at `stop`. `port` = None chooses a free one, and keeps it for later starts of this object.
    `cache_dir` holds the jars (default: see `jars.default_cache`). `security` adds listeners with
    TLS and logins, see `address`. A context manager.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        port: int | None = None,
        cache_dir: Path | None = None,
        security: BrokerSecurity | None = None,
    ) -> None:
        self._given_data_dir = data_dir
        self._cache_dir = cache_dir
        self._security = security
        self._secure_ports: dict[str, int] = {}
        self._layout: Layout | None = None
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None

    @property
    def port(self) -> int:
        """Port of the broker; known once it was started, or if it was given."""
        if self._port is None:
            raise BrokerError("the embedded Kafka has no port yet: start it first")
        return self._port

    @property
    def bootstrap(self) -> str:
        """Address for clients, `host:port`."""
        return f"{HOST}:{self.port}"

    def address(self, listener: str) -> str:
        """Address of a listener of `security`: `SSL`, `SASL_SSL` or `SASL_PLAINTEXT`."""
        return f"{HOST}:{self._secure_ports[listener]}"

    @property
    def data_dir(self) -> Path:
        """Directory of the topics and of `kafka.log`."""
        if self._layout is None:
            raise BrokerError("the embedded Kafka has no data directory yet: start it first")
        return self._layout.root

    @property
    def pid(self) -> int | None:
        """Process id of Java while it runs."""
        return self._pid if self.running else None

    @property
    def running(self) -> bool:
        """Whether the broker's process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start the broker, or start it again on the same data and port; returns when it serves.

        Raises `BrokerError` if the jars cannot be fetched, the port is taken or Java fails.
        """
        if self.running:
            return self
        jars = class_path(self._cache_dir)
        if self._port is not None:
            check_port(HOST, self._port)
        layout = self._prepare_directory()
        try:
            for _ in range(_PORT_ATTEMPTS):
                port, controller_port = free_ports(HOST, self._port)
                self._configure(layout, port, controller_port)
                self._format(layout, jars)
                self._launch(layout, jars)
                if self._await_serving(layout, port):
                    self._port = port
                    _LOG.info("Apache Kafka serves at %s, data in %s", self.bootstrap, layout.root)
                    return self
                self._end(b"k")
                if not port_was_taken(layout):
                    break
            raise BrokerError(explain_failure(layout))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Shut the broker down in order; a temporary data directory is removed."""
        self._end(b"t")
        if self._layout is not None and self._given_data_dir is None:
            shutil.rmtree(self._layout.root, ignore_errors=True)
            self._layout = None

    def restart(self) -> Self:
        """Shut down in order and start again on the same data and port."""
        self._end(b"t")
        return self.start()

    def kill(self) -> None:
        """End the broker with SIGKILL, as a crash would; `start` brings it back with its data."""
        self._end(b"k")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the broker's process has ended; False if it still runs after `timeout_s`."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def failure(self) -> str:
        """What the log files say about a broker that ended by itself."""
        return explain_failure(Layout(self.data_dir))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _prepare_directory(self) -> Layout:
        if self._layout is None:
            if self._given_data_dir is None:
                root = Path(tempfile.mkdtemp(prefix="stream-app-kafka-"))
            else:
                root = self._given_data_dir.absolute()
                try:
                    root.mkdir(parents=True, exist_ok=True)
                except OSError as error:
                    raise BrokerError(
                        f"cannot create the data directory {root}: {error.strerror}; "
                        "choose another one"
                    ) from error
            self._layout = Layout(root)
        if config.in_use(self._layout):
            raise BrokerError(
                f"another broker uses the data directory {self._layout.root}; choose another one"
            )
        return self._layout

    def _configure(self, layout: Layout, port: int, controller_port: int) -> None:
        if self._security is None:
            config.write_configuration(layout, port, controller_port)
            return
        if not self._secure_ports or self._port is None:  # a start that has succeeded keeps them
            found = more_ports(HOST, len(LISTENERS), {port, controller_port})
            self._secure_ports = dict(zip(LISTENERS, found, strict=True))
        config.write_configuration(
            layout,
            port,
            controller_port,
            more_listeners=listener_lists(self._secure_ports),
            more_lines=write_security(layout, self._security, self._secure_ports),
        )

    def _format(self, layout: Layout, jars: list[Path]) -> None:
        """Give a new data directory its cluster id, once."""
        if layout.cluster_id is not None:
            return
        tool = ("kafka.tools.StorageTool", "format", "-t", config.new_cluster_id(), "-c")
        users = format_arguments(self._security) if self._security is not None else []
        command = config.java_command(layout, jars, *tool, layout.server_properties.name, *users)
        with layout.output_file.open("wb") as output:
            done = subprocess.run(
                command,
                cwd=layout.root,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
        if done.returncode != 0 or layout.cluster_id is None:
            raise BrokerError(explain_failure(layout))

    def _launch(self, layout: Layout, jars: list[Path]) -> None:
        java = config.java_command(layout, jars, "kafka.Kafka", layout.server_properties.name)
        temporary = str(layout.root) if self._given_data_dir is None else ""
        with layout.output_file.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", guardian.__file__, str(os.getpid()), temporary, *java],
                bufsize=0,
                cwd=layout.root,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for this process, which then stops the broker
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self._pid = int(line) if line else None

    def _await_serving(self, layout: Layout, port: int) -> bool:
        """Wait until the broker serves (True), or has ended (False)."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while self.running:
            if serving_cluster(HOST, port) == layout.cluster_id:
                return True
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"the embedded Kafka does not serve after {_START_TIMEOUT_S} s; "
                    f"{explain_failure(layout)}"
                )
            time.sleep(_POLL_S)
        return False

    def _end(self, order: bytes) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it may have ended already
            process.stdin.write(order)
        process.stdin.close()
        process.wait()
        process.stdout.close()
