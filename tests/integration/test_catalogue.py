"""Items come and go while workers serve, on a real Kafka."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from schemas import Item
from stream_app.settings import Settings
from tests.integration.conftest import BUNDLE
from tests.integration.shop import catalogue, figure, say, shown, small_shop, vectors
from tests.integration.topics import dead_letters, send_raw, wait_for


@pytest.fixture
def shop(settings, tmp_path) -> Settings:
    return small_shop(settings, tmp_path)


def lamp(**fields) -> tuple[str, Item]:
    return "lamp", Item(item_id="lamp", title="A lamp", **fields)


def test_a_new_item_is_recommended_a_delisted_one_is_gone_and_both_outlive_a_worker(
    shop, start_worker
) -> None:
    worker = start_worker(shop).wait_until_ready()
    say(shop, lamp(), ("item-3", None))
    wait_for(lambda: vectors(shop).keys() == {"lamp"}, "the vector of the lamp")
    wait_for(lambda: catalogue(worker, "listed") == 1, "the lamp in the catalogue")
    wait_for(lambda: catalogue(worker, "lacking") == 0, "its vector in the index")
    wait_for(lambda: catalogue(worker, "delisted") == 1, "the delisted item to be known")
    wait_for(lambda: figure(worker, "stream_app_index_size") == 60, "60 - 1 + 1 items to find")
    seen = shown(shop, "first")
    assert "lamp" in seen
    assert "item-3" not in seen
    assert figure(worker, "stream_app_items_read_total") == 1
    assert worker.terminate() == 0

    worker = start_worker(shop).wait_until_ready()
    seen = shown(shop, "second")  # a worker that is ready knows the catalogue
    assert "lamp" in seen
    assert "item-3" not in seen
    assert figure(worker, "stream_app_items_read_total") == 0, "each text is read once"

    say(shop, ("lamp", None), ("item-3", Item(item_id="item-3")))
    wait_for(lambda: catalogue(worker, "delisted") == 1, "the lamp to be delisted")
    wait_for(lambda: vectors(shop) == {}, "its vector to be removed")
    seen = shown(shop, "third")
    assert "lamp" not in seen
    assert "item-3" in seen


def test_a_bad_record_becomes_one_dead_letter_and_stops_nothing(shop, start_worker) -> None:
    worker = start_worker(shop).wait_until_ready()
    chair = json.dumps({"item_id": "chair"}).encode()
    bad = [(b"lamp", b"{"), (b"lamp", chair)]
    send_raw(shop, shop.topic_prefix + "items", bad)
    say(shop, lamp())
    wait_for(lambda: "lamp" in vectors(shop), "the vector of the lamp")
    letters = dead_letters(shop)
    assert sorted(letter.reason for letter in letters) == ["decode_error", "validation_error"]
    assert {letter.topic for letter in letters} == {shop.topic_prefix + "items"}
    counted = 'stream_app_dead_letters_total{reason="decode_error"}'
    wait_for(lambda: figure(worker, counted) == 1, counted)
    assert worker.terminate() == 0

    worker = start_worker(shop).wait_until_ready()
    say(shop, ("chair", Item(item_id="chair", title="A chair")))
    wait_for(lambda: "chair" in vectors(shop), "the vector of the chair")
    assert len(dead_letters(shop)) == 2, "what is committed is not read again"


def test_items_that_came_while_nobody_could_read_texts_are_read_later(shop, start_worker) -> None:
    worker = start_worker(replace(shop, text_encoder="")).wait_until_ready()
    say(shop, lamp(), ("item-5", Item(item_id="item-5", title="Has a trained vector")))
    wait_for(lambda: catalogue(worker, "lacking") == 1, "the lamp in the catalogue")
    assert worker.output.count("no text_encoder is set") == 1
    assert vectors(shop) == {}
    assert worker.terminate() == 0

    worker = start_worker(shop).wait_until_ready()
    wait_for(lambda: vectors(shop).keys() == {"lamp"}, "the vector of the lamp")
    wait_for(lambda: catalogue(worker, "lacking") == 0, "nothing to lack")
    assert "lamp" in shown(shop, "first")


def test_the_commands_list_and_delist(shop, start_worker) -> None:
    worker = start_worker(shop).wait_until_ready()

    def produce(*lines: object) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "stream_app", "produce", "--items", "--encoding", "json",
             "--bootstrap-servers", shop.bootstrap_servers, "--topic-prefix", shop.topic_prefix],
            input="\n".join(map(json.dumps, lines)), capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stdout + done.stderr

    lines = {"item_id": "lamp", "title": "A lamp"}, {"item_id": "item-2", "delisted": True}
    assert "sent 2 items" in produce(*lines)
    wait_for(lambda: catalogue(worker, "listed") == 1, "the lamp")
    wait_for(lambda: catalogue(worker, "delisted") == 1, "item-2 to be gone")
    wrong = produce({"item_id": "chair", "price": -1})
    assert "line 1: " in wrong
    assert "price" in wrong
    assert "here 'title' is" in produce({"item_id": "x", "delisted": True, "title": "t"})


def test_an_encoder_of_another_release_is_refused(shop, start_worker) -> None:
    wrong = replace(shop, bundle=str(BUNDLE))
    worker = start_worker(wrong)
    assert worker.wait(60) == 2
    assert "give the directory that it was trained with" in worker.output
