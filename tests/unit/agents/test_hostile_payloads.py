"""Every hostile payload gets its verdict, and none costs a good one anything."""

from __future__ import annotations

from itertools import islice

import pytest

from schemas import Reason
from tests.hostile import payloads
from tests.hostile.engine_run import ALL_REASONS, difference, events_in, make_engine, run
from tests.hostile.payloads import Sample, samples

NOW = 1_750_000_000_000
COUNT = 30_000


def stream(seed: int, count: int, **options: object) -> list[Sample]:
    return list(islice(samples(seed, now_ms=NOW, **options), count))


def test_every_payload_gets_its_verdict_and_no_good_one_is_missing() -> None:
    sent = stream(11, COUNT)
    verdicts = run(make_engine(NOW), sent, NOW)
    assert verdicts.wrong == []
    assert set(verdicts.made) == set(payloads.names()), "each maker had its turn"
    assert set(verdicts.reasons) == ALL_REASONS
    assert events_in(verdicts.rows) == verdicts.reasons["accepted"]
    assert verdicts.reasons["accepted"] < COUNT / 2, "most of it is hostile"


def test_hostile_payloads_change_nothing_of_the_good_ones() -> None:
    sent = stream(12, 3_000)
    good = [one for one in sent if one.expected is None]
    among, alone = run(make_engine(NOW), sent, NOW), run(make_engine(NOW), good, NOW)
    assert among.wrong == alone.wrong == []
    assert among.rows.keys() == alone.rows.keys()
    assert events_in(among.rows) == events_in(alone.rows) == len(good)


def test_the_same_seed_makes_the_same_payloads() -> None:
    assert stream(13, 2_000) == stream(13, 2_000)
    assert stream(13, 2_000) != stream(14, 2_000)


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_a_share_of_the_stream_is_hostile(share: float) -> None:
    plain = sum(one.name == "plain" for one in stream(15, 5_000, hostile=share))
    assert abs(plain / 5_000 - (1 - share)) < 0.02


def test_a_wrong_verdict_is_seen() -> None:
    """The check itself: samples that claim another verdict than they deserve are all reported."""
    sent = stream(16, 500)
    lies = [
        one._replace(expected=Reason.TOO_LARGE if one.expected is None else None) for one in sent
    ]
    wrong = run(make_engine(NOW), lies, NOW, batch=1).wrong
    assert sum(" in place of " in text for text in wrong) == len(lies)
    assert difference(sent[0]._replace(expected=Reason.DECODE_ERROR), None)
