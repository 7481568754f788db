"""A bad message never stops a partition, and nothing about it is lost."""

from __future__ import annotations

import subprocess
import sys
import time

import msgspec

import schemas
from schemas import Click, Reason
from stream_app.settings import Settings
from stream_app.streaming.rows import unseal
from stream_app.streaming.topics import changelog_topic
from stream_app.users.codec import decode_state
from tests.integration.topics import dead_letters, read, read_full, send_raw, wait_for

NOW = 1_700_000_000_000


def good(user_id: str, number: int) -> tuple[bytes, bytes]:
    click = Click(user_id=user_id, item_id=str(number + 1), timestamp_ms=NOW + number)
    return user_id.encode(), schemas.encode(click)


def value(**fields: object) -> bytes:
    base = {"user_id": "ann", "item_id": "1", "timestamp_ms": NOW}
    return msgspec.json.encode({**base, **fields})


POISON: dict[Reason, tuple[bytes | None, bytes | None]] = {
    Reason.DECODE_ERROR: (b"ann", b"\xff\x00 not a message"),
    Reason.VALIDATION_ERROR: (b"ann", value(timestamp_ms="yesterday")),
    Reason.TIMESTAMP_IN_FUTURE: (b"ann", value(timestamp_ms=int(time.time() * 1000) + 10**9)),
    Reason.TOO_LARGE: (b"ann", value(context={"x": "y" * 300_000})),
    Reason.PROCESSING_ERROR: (b"broken", value(user_id="broken")),
}


def test_there_is_a_poison_for_every_reason() -> None:
    assert set(POISON) == set(Reason)


def test_poison_between_good_messages(settings, start_worker) -> None:
    clicks = settings.topic_prefix + "clicks"
    changelog = changelog_topic(settings.app_id)
    send_raw(settings, changelog, [(b"broken", b"no row at all")])
    worker = start_worker(settings).wait_until_ready()
    records = []
    for number, poison in enumerate(POISON.values()):
        records += [good("ann", number), poison, (None, b"null key"), (b"bob", None)]
    send_raw(settings, clicks, [*records, good("ann", len(POISON))])

    wait_for(lambda: len(dead_letters(settings)) == 3 * len(POISON), "every dead letter")
    wait_for(lambda: good_events(settings) == len(POISON) + 1, "every good event")
    letters = {letter.value: letter for letter in dead_letters(settings)}
    for reason, (key, value) in POISON.items():
        cut = reason is Reason.TOO_LARGE
        whole = value[: schemas.KEPT_VALUE_BYTES] if cut else value
        letter = letters[whole]
        assert (letter.reason, letter.key, letter.topic) == (reason.value, key, clicks)
        assert letter.detail
        assert letter.truncated == (("value",) if whole != value else ())
    assert worker.process.poll() is None


def test_a_dead_letter_names_its_origin_in_headers(settings, start_worker) -> None:
    start_worker(settings).wait_until_ready()
    clicks = settings.topic_prefix + "clicks"
    send_raw(settings, clicks, [(b"ann", b"{}")])
    wait_for(lambda: len(dead_letters(settings)) == 1, "the dead letter")
    (record,) = read(settings, "dead-letters")
    (source,) = read(settings, "clicks")
    assert dict(record.headers) == {
        "reason": b"validation_error",
        "topic": clicks.encode(),
        "partition": str(source.partition).encode(),
        "offset": str(source.offset).encode(),
    }


def test_what_is_still_wrong_is_rejected_again(settings, start_worker) -> None:
    """The commands list by reason, replay the original bytes, and name where they came from."""
    start_worker(settings).wait_until_ready()
    clicks = settings.topic_prefix + "clicks"
    send_raw(settings, clicks, [(b"ann", b"{}"), good("bob", 1), (b"ann", b"\xff")])
    wait_for(lambda: len(dead_letters(settings)) == 2, "the dead letters")
    listed = command(settings, "list")
    assert "decode_error" in listed.stdout
    assert f"{clicks}/" in listed.stdout
    assert "2 dead letters" in listed.stderr
    assert (
        "would send 1 records"
        in command(settings, "replay", "--reason", "decode_error", "--dry-run").stdout
    )
    assert "sent 1 records" in command(settings, "replay", "--reason", "decode_error").stdout
    wait_for(lambda: len(dead_letters(settings)) == 3, "rejected again")
    assert [r.headers for r in read(settings, "clicks") if r.value == b"\xff"][1][0][0] == (
        "replayed-from"
    )


def test_an_event_is_applied_by_a_replay_once_its_row_is_mended(settings, start_worker) -> None:
    """What a row that cannot be read turned away is applied after the row was removed."""
    changelog = changelog_topic(settings.app_id)
    send_raw(settings, changelog, [(b"broken", b"no row at all")])
    worker = start_worker(settings).wait_until_ready()
    send_raw(settings, settings.topic_prefix + "clicks", [good("broken", 1)])
    wait_for(lambda: len(dead_letters(settings)) == 1, "the dead letter")
    assert dead_letters(settings)[0].reason == Reason.PROCESSING_ERROR
    assert worker.terminate() == 0
    send_raw(settings, changelog, [(b"broken", None)])
    start_worker(settings).wait_until_ready()
    replayed = command(settings, "replay", "--reason", "processing_error")
    assert "sent 1 records" in replayed.stdout
    wait_for(lambda: good_events(settings, b"broken") == 1, "the replayed event")
    assert len(dead_letters(settings)) == 1


def test_a_record_that_is_no_dead_letter_is_named(settings) -> None:
    topic = settings.topic_prefix + "dead-letters"
    send_raw(settings, topic, [(b"ann", b"{}")])
    (record,) = read(settings, "dead-letters")
    listed = command(settings, "list", check=False)
    assert listed.returncode == 2
    assert f"{topic}/{record.partition}@{record.offset} is no dead letter" in listed.stderr


def good_events(settings: Settings, user_id: bytes = b"ann") -> int:
    """Events in the last row of a user."""
    row = None
    for record in read_full(settings, changelog_topic(settings.app_id)):
        if record.key == user_id:
            row = record.value
    return decode_state(unseal(row)).events if row else 0


def command(
    settings: Settings, *arguments: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    name, *options = arguments
    return subprocess.run(
        [
            sys.executable, "-m", "stream_app", "dead-letters", name,
            "--bootstrap-servers", settings.bootstrap_servers,
            "--topic-prefix", settings.topic_prefix, *options,
        ],
        capture_output=True, text=True, timeout=60, check=check,
    )  # fmt: skip
