"""TLS, logins and ACLs against a real Kafka, with the real commands and a real worker.

Every output of every process is searched for the secrets that were used.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psutil
import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from schemas import Click
from stream_app.broker import BrokerSecurity, EmbeddedKafka
from stream_app.demo.session import free_port
from stream_app.secret import Secret
from stream_app.settings import Settings
from tests.certificates import Authority, unsecured_token
from tests.integration.conftest import BUNDLE
from tests.integration.topics import applied_events, lists, send, wait_for
from tests.integration.worker import WorkerProcess

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
PASSWORD = "distinctive-Pass-7"
WRONG_PASSWORD = "distinctive-Wrong-8"
ROLES = ("operator", "producer", "worker", "subscriber", "service", "support", "checker", "privacy")
EVENT = '{"user_id": "ann", "item_id": "318"}\n'
LIMIT_S = 20
"""No refusal may take longer, on a busy machine; they take less than 2 s on an idle one."""

_numbers = itertools.count()


@dataclass
class Secured:
    """A broker with TLS and logins, and the files for its clients."""

    kafka: EmbeddedKafka
    folder: Path
    authority: Authority
    secrets: list[str]
    """What no output may show."""

    def file(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def token(self, user: str = "ann", lifetime_s: float = 3600) -> str:
        token = unsecured_token(user, lifetime_s)
        self.secrets.append(token)
        return token

    def settings(self, user: str = "ann", mechanism: str = "SCRAM-SHA-512") -> Settings:
        """Settings for a user over SASL_SSL, with topics and a group that no other test has."""
        name = f"secured{next(_numbers)}"
        login = {"sasl_username": user, "sasl_password_file": self.file("password", PASSWORD)}
        if mechanism == "OAUTHBEARER":
            login = {"sasl_token_file": self.file(f"token-{user}", self.token(user))}
        return Settings(
            bootstrap_servers=self.kafka.address("SASL_SSL"),
            security_protocol="SASL_SSL",
            ssl_cafile=str(self.folder / "ca.pem"),
            sasl_mechanism=mechanism,
            **login,
            app_id=name,
            topic_prefix=f"{name}.",
            bundle=str(BUNDLE),
            metrics_port=free_port(),
            session_timeout_s=6,
            output_encoding="json",
        )

    def with_certificate(self) -> Settings:
        """Settings for the SSL listener, which knows its users by their certificates."""
        pair = self.authority.issue("client", password=PASSWORD.encode())
        return replace(
            self.settings(),
            bootstrap_servers=self.kafka.address("SSL"),
            security_protocol="SSL",
            sasl_mechanism="",
            sasl_username="",
            sasl_password_file="",
            ssl_certfile=self.file("client.pem", pair.certificate),
            ssl_keyfile=self.file("client.key", pair.key),
            ssl_key_password_file=self.file("key-password", PASSWORD),
        )

    def run(
        self, settings: Settings, *arguments: str, given: str = "", fails: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """A command with these settings in its environment; none of the secrets is shown."""
        done = subprocess.run(
            [sys.executable, "-m", "stream_app", *arguments],
            env={**os.environ, **settings.environment()}, input=given,
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        self.search(done.stdout + done.stderr)
        assert done.returncode == fails, done.stdout + done.stderr
        return done

    def search(self, output: str) -> None:
        for secret in self.secrets:
            assert secret not in output


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    authority = Authority("stream-app test")
    server = authority.issue("kafka", address="127.0.0.1")
    security = BrokerSecurity(
        keystore=server.key + server.certificate,
        truststore=authority.certificate,
        users=dict.fromkeys(("ann", *ROLES), PASSWORD),
        super_users=("User:ann", "User:CN=client"),
    )
    assert PASSWORD not in repr(security)
    folder = tmp_path_factory.mktemp("secured")
    (folder / "ca.pem").write_text(authority.certificate)
    with EmbeddedKafka(security=security) as kafka:
        yield Secured(kafka, folder, authority, [PASSWORD, WRONG_PASSWORD])


@pytest.fixture
def start(
    secured: Secured, start_worker: Callable[..., WorkerProcess]
) -> Iterator[Callable[..., WorkerProcess]]:
    """Start workers whose output is searched for secrets at the end."""
    started: list[WorkerProcess] = []

    def starting(settings: Settings, **environment: str) -> WorkerProcess:
        worker = start_worker(settings, **environment)
        started.append(worker)
        return worker

    yield starting
    for worker in started:
        secured.search(worker.output)


@pytest.mark.parametrize("way", ["SCRAM-SHA-512", "PLAIN", "OAUTHBEARER", "SSL"])
def test_a_click_gives_a_list(secured: Secured, start, way: str) -> None:
    """The whole path: topics, a worker, an event, its list, dead letters; all over TLS."""
    settings = (
        secured.with_certificate() if way == "SSL" else secured.settings("ann", mechanism=way)
    )
    assert "created" in secured.run(settings, "topics", "create", "--partitions", "2").stdout
    assert "2 partitions" in secured.run(settings, "topics", "check").stdout
    worker = start(settings).wait_until_ready()
    assert "sent 1 events" in secured.run(settings, "produce", given=EVENT).stdout
    shown = secured.run(settings, "tail", "--from-start", "--count", "1").stdout
    assert json.loads(shown)["user_id"] == "ann"
    assert "0 dead letters" in secured.run(settings, "dead-letters", "list").stderr
    assert worker.terminate() == 0
    assert "Traceback" not in worker.output


def test_a_password_in_the_environment_logs_in(secured: Secured) -> None:
    settings = replace(secured.settings(), sasl_password_file="", sasl_password=Secret(PASSWORD))
    secured.run(settings, "topics", "list")


def test_logins_work_without_encryption_too(secured: Secured) -> None:
    for mechanism in ("SCRAM-SHA-256", "PLAIN", "OAUTHBEARER"):
        settings = replace(
            secured.settings("ann", mechanism),
            bootstrap_servers=secured.kafka.address("SASL_PLAINTEXT"),
            security_protocol="SASL_PLAINTEXT",
            ssl_cafile="",
        )
        shown = secured.run(settings, "topics", "list").stderr
        assert ("sends the token unencrypted" in shown) == (mechanism == "OAUTHBEARER")


def wrong_settings(secured: Secured) -> dict[str, tuple[Settings, int, str]]:
    """Settings that must not work, with the exit code and words of the error."""
    scram, token = secured.settings(), secured.settings("ann", "OAUTHBEARER")
    plain, certificate = replace(scram, sasl_mechanism="PLAIN"), secured.with_certificate()
    wrong = secured.file("wrong-password", WRONG_PASSWORD)
    stranger = Authority("stranger")
    pair = stranger.issue("client")
    strangers_ca = secured.file("stranger.pem", stranger.certificate)
    by_name = f"localhost:{secured.kafka.address('SASL_SSL').rpartition(':')[2]}"
    open_port = secured.kafka.bootstrap
    plaintext = Settings(app_id=scram.app_id, bundle=str(BUNDLE), metrics_port=scram.metrics_port)
    return {
        "password": (
            replace(scram, sasl_password_file=wrong), 2,
            r"Kafka at \S+ refuses the user 'ann' with SCRAM-SHA-512: .*invalid credentials",
        ),
        "password of PLAIN": (
            replace(plain, sasl_password_file=wrong), 2, "refuses the user 'ann' with PLAIN: ",
        ),
        "user": (replace(scram, sasl_username="bob"), 2, "refuses the user 'bob'"),
        "authority": (
            replace(scram, ssl_cafile=strangers_ca), 2,
            r"a certificate that is not accepted with .*stranger.pem: unable to get local issuer",
        ),
        "authority of the system": (
            replace(scram, ssl_cafile=""), 2, r"not accepted with the system's authorities \(ssl_c",
        ),
        "name in the certificate": (
            replace(scram, bootstrap_servers=by_name), 2, "is not accepted .*ostname mismatch",
        ),
        "no certificate": (
            replace(certificate, ssl_certfile="", ssl_keyfile="", ssl_key_password_file=""), 3,
            r"closes the connection.* Does it want a client certificate \(ssl_certfile\)\?",
        ),
        "certificate of a stranger": (
            replace(
                certificate, ssl_key_password_file="",
                ssl_certfile=secured.file("stranger-client.pem", pair.certificate),
                ssl_keyfile=secured.file("stranger-client.key", pair.key),
            ), 3, r"closes the connection.* Does it accept the certificate in .*stranger-cl",
        ),
        "plaintext on a TLS port": (
            replace(plaintext, bootstrap_servers=scram.bootstrap_servers), 3,
            "closes the connection; is PLAINTEXT the protocol of this port",
        ),
        "plaintext on a port with logins": (
            replace(plaintext, bootstrap_servers=secured.kafka.address("SASL_PLAINTEXT")), 3,
            "closes the connection; is PLAINTEXT the protocol of this port",
        ),
        "TLS on a plaintext port": (
            replace(scram, bootstrap_servers=open_port), 3, "is SASL_SSL the protocol of this port",
        ),
        "login on a port without": (
            replace(
                scram, bootstrap_servers=open_port, security_protocol="SASL_PLAINTEXT",
                ssl_cafile="",
            ), 2, "has no login on this port: is SASL_PLAINTEXT its protocol",
        ),
        "expired token": (
            replace(token, sasl_token_file=secured.file("expired", secured.token("ann", -30))), 2,
            "refuses the token with OAUTHBEARER: it is expired, or not one that they accept",
        ),
        "no token": (
            replace(token, sasl_token_file=secured.file("junk", WRONG_PASSWORD)), 2,
            "refuses the token with OAUTHBEARER",
        ),
        "absent token file": (
            replace(token, sasl_token_file=str(secured.folder / "absent")), 2,
            "sasl_token_file .*absent: no such file",
        ),
        "absent password file": (
            replace(scram, sasl_password_file=str(secured.folder / "absent")), 2,
            "sasl_password_file .*absent: no such file",
        ),
        "nobody there": (
            replace(scram, bootstrap_servers=f"127.0.0.1:{free_port()}"), 3,
            r"no Kafka broker answers at 127.0.0.1:\d+: .*Connect call failed",
        ),
    }  # fmt: skip


def test_what_is_refused(secured: Secured) -> None:
    """One line and an exit code within seconds, from a command that asks and one that sends."""
    for name, (settings, code, words) in wrong_settings(secured).items():
        sending = [("produce",)] if name in ("password", "expired token") else []
        for command in (("topics", "check"), *sending):
            began = time.monotonic()
            done = secured.run(settings, *command, given=EVENT, fails=code)
            assert re.fullmatch(rf"stream-app: error: .*{words}.*\n", done.stderr), (name, done)
            assert time.monotonic() - began < LIMIT_S, name


@pytest.mark.parametrize(
    "name", ["password", "authority", "plaintext on a TLS port", "expired token", "no certificate"]
)
def test_a_worker_that_is_refused_ends(secured: Secured, start, name: str) -> None:
    settings, code, words = wrong_settings(secured)[name]
    worker = start(settings)
    assert worker.wait(LIMIT_S) == code, worker.output
    assert re.fullmatch(rf"stream-app: error: .*{words}.*\n", worker.output)


TOKEN_LIFETIME_S = 8.0


@contextmanager
def renewed_token(secured: Secured, settings: Settings) -> Iterator[None]:
    """Replace the token file every second, as an agent beside the worker would."""
    file, done = Path(settings.sasl_token_file), threading.Event()

    def renew() -> None:
        draft = file.with_suffix(".new")
        draft.write_text(secured.token("ann", TOKEN_LIFETIME_S))
        draft.replace(file)

    def keep_renewing() -> None:
        while not done.wait(1):
            renew()

    renew()
    thread = threading.Thread(target=keep_renewing)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_a_worker_lives_through_renewed_tokens(secured: Secured, start) -> None:
    """Brokers end a connection when its token expires; the next one brings the new token."""
    settings = secured.settings("ann", "OAUTHBEARER")
    sent = 0
    with renewed_token(secured, settings):
        secured.run(settings, "topics", "create", "--partitions", "1")
        worker = start(settings).wait_until_ready()
        until = time.monotonic() + 3 * TOKEN_LIFETIME_S
        while time.monotonic() < until:
            send(settings, [Click(user_id="ann", item_id="318", timestamp_ms=sent)])
            sent += 1
            wait_for(partial(_covers, settings, sent), "the list of the event")
        assert applied_events(settings) == sent
        assert worker.terminate() == 0


def _covers(settings: Settings, sent: int) -> bool:
    """Whether a list was made after the last event."""
    return any(offset == sent - 1 for made in lists(settings) for offset in made.applied.values())


def test_no_secret_is_shown(secured: Secured, start, tmp_path: Path) -> None:
    """A worker at debug level, its metrics, its command line; and a password given as a flag."""
    for mechanism in ("PLAIN", "SCRAM-SHA-512", "OAUTHBEARER"):
        settings = replace(secured.settings("ann", mechanism), log_level="debug")
        if mechanism == "PLAIN":
            settings = replace(settings, sasl_password_file="", sasl_password=Secret(PASSWORD))
        secured.run(settings, "topics", "create", "--partitions", "1")
        worker = start(settings).wait_until_ready()
        secured.run(settings, "produce", given=EVENT)
        secured.run(settings, "tail", "--from-start", "--count", "1")
        for page in ("/metrics", "/health/ready", "/health/live", "/nowhere"):
            status, body = worker.get(page)
            assert status in (200, 404)
            secured.search(body)
        secured.search(" ".join(psutil.Process(worker.process.pid).cmdline()))
        secured.search(repr(settings) + str(settings))
        assert worker.terminate() == 0
        assert "DEBUG" in worker.output
    given_as_flag = ("topics", "list", "--sasl-password", PASSWORD)
    assert (
        "not taken from the command line" in secured.run(settings, *given_as_flag, fails=2).stderr
    )
    file = tmp_path / "settings.toml"
    file.write_text(f'sasl_password = "{PASSWORD}"\n')
    in_file = ("topics", "list", "--config", str(file))
    assert "sasl_password is not taken from" in secured.run(settings, *in_file, fails=2).stderr
    for command in ("worker", "topics", "produce", "tail"):
        secured.search(secured.run(settings, command, "--help").stdout)


def test_a_worker_listens_on_the_loopback_only(secured: Secured, start) -> None:
    settings = secured.settings()
    secured.run(settings, "topics", "create", "--partitions", "1")
    worker = start(settings).wait_until_ready()
    listening = [
        connection.laddr
        for connection in psutil.Process(worker.process.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert [tuple(address) for address in listening] == [("127.0.0.1", settings.metrics_port)]


def documented_acls(role: str, settings: Settings) -> list[AclBinding]:
    """The lines of the table in docs/security.md."""
    found = []
    rows = re.findall(r"^\| (\w+) \| (\w+) \| (topic|group) `(.+)` \|$", DOCUMENT.read_text(), re.M)
    for name, operation, kind, pattern in rows:
        if name == role:
            full = pattern.replace("<prefix>", settings.topic_prefix)
            full = full.replace("<app>", settings.app_id)
            prefixed = full.endswith("*")
            found.append(
                AclBinding(
                    ResourceType[kind.upper()],
                    full.rstrip("*"),
                    ResourcePatternType.PREFIXED if prefixed else ResourcePatternType.LITERAL,
                    f"User:{role}",
                    "*",
                    AclOperation[operation.upper()],
                    AclPermissionType.ALLOW,
                )
            )
    return found


def test_the_listed_acls_are_enough(secured: Secured, start) -> None:
    """Every role does its work with what docs/security.md grants it, and not without."""
    by_role = {role: secured.settings(role) for role in ROLES}
    shared = by_role["worker"]
    names = {"app_id": shared.app_id, "topic_prefix": shared.topic_prefix}
    by_role = {role: replace(settings, **names) for role, settings in by_role.items()}
    create = ("topics", "create", "--partitions", "2")
    refused = secured.run(by_role["operator"], *create, fails=2).stderr
    assert "TopicAuthorizationFailedError" in refused
    admin = AdminClient({"bootstrap.servers": secured.kafka.bootstrap})
    for role in ROLES:
        acls = documented_acls(role, shared)
        assert acls, role
        for future in admin.create_acls(acls).values():
            future.result(30)
    secured.run(by_role["operator"], *create)
    secured.run(by_role["operator"], "topics", "check")
    listed = secured.run(by_role["operator"], "topics", "list").stdout
    assert f"   2 {shared.topic_prefix}clicks\n" in listed
    wants_all = replace(by_role["worker"], filters="bought,clicked,shown:1h")
    worker = start(wants_all).wait_until_ready()
    secured.run(wants_all, "doctor", "--check", "permissions")
    checks = [f"--check={name}" for name in ("permissions", "topic-settings", "group", "clock")]
    told = secured.run(by_role["subscriber"], "doctor", *checks, fails=1).stdout
    assert "not checked  topic-settings: the brokers do not tell the settings of topics" in told
    assert "not checked  group: " in told
    assert f"User:subscriber may not Read the topic {shared.topic_prefix}clicks" in told
    grant = "--add --allow-principal User:subscriber --operation Write --topic"
    assert f"{grant} {shared.topic_prefix}recommendations" in told
    assert f"--operation Read --group {shared.app_id}\n" in told
    assert f"Read the topic {shared.topic_prefix}recommendations" not in told
    poison = '{"user_id": "ann", "item_id": "318", "timestamp_ms": 4102444800000}\n'
    secured.run(by_role["producer"], "produce", given=EVENT + poison)
    shown = secured.run(by_role["subscriber"], "tail", "--from-start", "--count", "1").stdout
    assert json.loads(shown)["user_id"] == "ann"
    assert secured.run(by_role["service"], "request", "ann", "-k", "1").stdout.count("\n") == 2
    refused = secured.run(by_role["producer"], "request", "ann", fails=2).stderr
    assert "or let this user describe them" in refused
    wait_for(
        lambda: "1 dead letters"
        in secured.run(by_role["support"], "dead-letters", "list").stderr,
        "the dead letter",
    )  # fmt: skip
    assert "sent 1 records" in secured.run(by_role["support"], "dead-letters", "replay").stdout
    receipt = json.loads(secured.run(by_role["privacy"], "erase", "ann", "--wait", "--json").stdout)
    assert receipt["outcome"] == "erased"
    assert [left["topic"] for left in receipt["remaining"] if "until_ms" in left] == []
    refused = secured.run(by_role["support"], "erase", "ann", fails=2).stderr
    assert "or let this user describe them" in refused
    assert worker.terminate() == 0
    secured.run(by_role["checker"], "verify")
    assert "every worker has left" in secured.run(by_role["checker"], "status", fails=1).stdout
    refused = secured.run(by_role["subscriber"], "produce", given=EVENT, fails=2).stderr
    assert "ClusterAuthorizationFailedError" in refused  # no topic at all that it may write
    refused = secured.run(by_role["producer"], "tail", fails=2).stderr
    assert "or let this user describe them" in refused
    tail = ("tail", "--from-start", "--topic", "clicks")
    refused = secured.run(by_role["producer"], *tail, fails=2).stderr
    assert "refuses the request: [Error 29] TopicAuthorizationFailedError" in refused
