"""The programs of examples/clients: what each language sends, and what each reads, on a real Kafka.

One worker answers all of them. Three subscribers run from the start to the end, so a test waits for
the last thing that it has sent, and looks at what was printed before it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka.partitioner import murmur2

from schemas import Recommendation
from stream_app.broker import EmbeddedKafka
from stream_app.broker.jars import class_path
from stream_app.demo.session import free_port
from stream_app.settings import Settings
from stream_app.streaming import topics
from tests.integration.conftest import BUNDLE, PARTITIONS
from tests.integration.topics import dead_letters, lists, send_raw, wait_for
from tests.integration.worker import WorkerProcess
from tests.programs import program

CLIENTS = Path(__file__).parents[2] / "examples" / "clients"
LANGUAGES = ("python", "java", "javascript")
ITEM = "260"
JARS = re.compile(r"(kafka-clients|jackson-(annotations|core|databind)|slf4j-api|lz4-java)-\d")
"""What an application has on its class path that uses Kafka's client and Jackson."""


@dataclass
class Programs:
    """How to call the programs of each language, with and without arguments."""

    settings: Settings
    folder: Path
    producers: dict[str, list[str]]
    subscribers: dict[str, list[str]]

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "BOOTSTRAP_SERVERS": self.settings.bootstrap_servers,
            "TOPIC_PREFIX": self.settings.topic_prefix,
        }

    def produce(self, language: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.producers[language], *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def subscribe(self, language: str) -> subprocess.Popen[bytes]:
        with self.log(language).open("wb") as log:
            return subprocess.Popen(
                [*self.subscribers[language], f"{self.settings.app_id}-{language}"],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def log(self, language: str) -> Path:
        return self.folder / f"{language}.log"

    def printed(self, language: str, user: str = "") -> list[str]:
        """The whole lines of a subscriber, of one user or all; ages are left out."""
        lines = self.log(language).read_text().rpartition("\n")[0].splitlines()
        return [re.sub(r"\d+ ms after the event", "fresh", line) for line in lines if user in line]


@pytest.fixture(scope="module")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs and what npm installs for them."""
    folder = tmp_path_factory.mktemp("javascript")
    for file in (CLIENTS / "javascript").iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    quiet = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run([program("npm"), "install", *quiet], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def programs(
    kafka: EmbeddedKafka, javascript: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Programs]:
    """The programs, compiled where they must be, beside a worker that is ready."""
    folder = tmp_path_factory.mktemp("clients")
    settings = Settings(
        bootstrap_servers=kafka.bootstrap,
        app_id="clients",
        topic_prefix="clients.",
        bundle=str(BUNDLE),
        metrics_port=free_port(),
        session_timeout_s=6,
        output_encoding="json",
    )
    asyncio.run(topics.create(settings, PARTITIONS, replication=1))
    worker = WorkerProcess(settings, folder / "worker.log")
    jars = os.pathsep.join(str(jar) for jar in class_path() if JARS.match(jar.name))
    sources = [str(file) for file in (CLIENTS / "java").glob("*.java")]
    javac = [program("javac"), "-Xlint:all", "-Werror", "-cp", jars, "-d", str(folder)]
    subprocess.run([*javac, *sources], check=True)
    java = ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{folder}{os.pathsep}{jars}"]
    python, node = [sys.executable], [program("node")]
    made = Programs(
        settings,
        folder,
        producers={
            "python": [*python, str(CLIENTS / "python" / "producer.py")],
            "java": [*java, "ShopProducer"],
            "javascript": [*node, str(javascript / "producer.js")],
        },
        subscribers={
            "python": [*python, str(CLIENTS / "python" / "subscriber.py")],
            "java": [*java, "ListSubscriber"],
            "javascript": [*node, str(javascript / "subscriber.js")],
        },
    )
    try:
        worker.wait_until_ready()
        yield made
    finally:
        worker.kill()


@pytest.fixture(scope="module")
def subscribers(programs: Programs) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """A subscriber of each language; they read from the start of the topic."""
    started = {language: programs.subscribe(language) for language in LANGUAGES}
    yield started
    for process in started.values():
        process.kill()
        process.wait()


def test_what_each_language_sends_is_answered_to_each(
    programs: Programs, subscribers: dict[str, subprocess.Popen[bytes]]
) -> None:
    sending = {name: programs.produce(name, f"{name}-user", ITEM) for name in LANGUAGES}
    for language, process in sending.items():
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
        told = re.findall(r"sent clients\.(\w+)/\d@\d+", output)
        assert sorted(told) == ["clicks", "purchases"], language
    wait_for(lambda: covered(programs.settings) == dict.fromkeys(users(), 2), "all lists")
    assert dead_letters(programs.settings) == []
    sent = [made.user_id for made in lists(programs.settings)]
    for reader in LANGUAGES:
        for user in users():
            wait_for(
                lambda reader=reader, user=user: (
                    len(programs.printed(reader, user)) == sent.count(user)
                ),
                f"{reader} prints every list of {user}",
            )
            for line in programs.printed(reader, user):
                assert re.fullmatch(rf"{user} fresh:( \d+){{10}}", line)


def test_without_arguments_each_program_says_what_it_needs(programs: Programs) -> None:
    for command in [*programs.producers.values(), *programs.subscribers.values()]:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert done.stderr.startswith("usage: "), done.stderr


def test_a_list_again_and_a_late_one_are_passed_over(
    programs: Programs, subscribers: dict[str, subprocess.Popen[bytes]]
) -> None:
    last = max(
        (made for made in lists(programs.settings) if made.user_id == "python-user"),
        key=lambda made: sum(made.applied.values()),
    )
    (one, first), (other, second) = last.applied.items()
    late = changed(last, "late", {one: first - 1, other: second + 1})
    ahead = changed(last, "ahead", {one: first + 1, other: second})
    anew = changed(last, "anew", {one: first + 2, "clients.erasures/0": 0})
    answer = changed(last, "answer", {one: first + 3, other: second + 3})
    answer = msgspec.structs.replace(answer, trigger=None, request_id="somebody's")
    fresh = " ".join(["python-user fresh:", *(item.item_id for item in last.items)])
    before = {language: programs.printed(language, "python-user") for language in LANGUAGES}
    publish(programs.settings, last, late, answer, ahead, anew)
    for language in LANGUAGES:
        expected = [
            *before[language],
            f"passed over {last.rec_id} of python-user",
            "passed over late of python-user",
            fresh,
            fresh,
        ]
        wanted = len(expected)
        wait_for(
            lambda language=language, wanted=wanted: (
                len(programs.printed(language, "python-user")) >= wanted
            ),
            f"{language} says something of every list",
        )
        assert programs.printed(language, "python-user") == expected


def test_messagepack_is_read_or_refused_with_what_to_do(
    programs: Programs, subscribers: dict[str, subprocess.Popen[bytes]]
) -> None:
    some = lists(programs.settings)[0]
    made = msgspec.structs.replace(changed(some, "packed", {"clicks/0": 1}), user_id="packed-user")
    send_raw(
        programs.settings,
        f"{programs.settings.topic_prefix}recommendations",
        [(b"packed-user", msgspec.msgpack.encode(made))],
    )
    for language in ("python", "javascript"):
        wait_for(
            lambda language=language: "packed-user" in programs.log(language).read_text(),
            f"{language} reads MessagePack",
        )
    assert subscribers["java"].wait(60) == 1
    assert "start workers with --output-encoding json" in programs.log("java").read_text()


def test_subscribers_end_when_they_are_told_to(
    programs: Programs, subscribers: dict[str, subprocess.Popen[bytes]]
) -> None:
    for language in ("python", "javascript"):
        subscribers[language].send_signal(signal.SIGTERM)
        assert subscribers[language].wait(60) == 0, programs.printed(language)


def test_the_partitioner_of_kafkajs_is_that_of_kafka(javascript: Path) -> None:
    keys = [*(f"user-{n}" for n in range(300)), *(f"ü日本-{n}" for n in range(100))]
    script = """
        import { Partitioners } from "kafkajs";
        const partitionMetadata = Array.from({ length: 12 }, (_, n) => ({ partitionId: n }));
        const chosen = (partitioner) => JSON.parse(process.argv[1]).map(
            (key) => partitioner({ topic: "clicks", partitionMetadata, message: { key } }));
        console.log(JSON.stringify([
            chosen(Partitioners.DefaultPartitioner()), chosen(Partitioners.LegacyPartitioner())]));
    """
    done = subprocess.run(
        [program("node"), "--input-type=module", "-e", script, json.dumps(keys)],
        cwd=javascript, capture_output=True, text=True, check=True,
    )  # fmt: skip
    default, legacy = json.loads(done.stdout)
    kafka = [(murmur2(key.encode()) & 0x7FFFFFFF) % 12 for key in keys]
    assert default == kafka
    assert legacy != kafka


def users() -> list[str]:
    return [f"{language}-user" for language in LANGUAGES]


def covered(settings: Settings) -> dict[str, int]:
    """From how many topics the last list of each user has events; clicks and purchases are two."""
    return {made.user_id: len(made.applied) for made in lists(settings)}


def changed(made: Recommendation, rec_id: str, applied: dict[str, int]) -> Recommendation:
    return msgspec.structs.replace(made, rec_id=rec_id, applied=applied)


def publish(settings: Settings, *made: Recommendation) -> None:
    records: list[tuple[Any, Any]] = [
        (one.user_id.encode(), msgspec.json.encode(one)) for one in made
    ]
    send_raw(settings, f"{settings.topic_prefix}recommendations", records)
