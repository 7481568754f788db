"""Questions do not keep the engine from its work: one at a time, in steps, and bounded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from stream_app.inspector.engine import MOST_WAITING, BusyError, EngineQuestions


@pytest.fixture
def engine() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def test_questions_are_answered_on_the_engines_thread(engine) -> None:
    async def run() -> None:
        questions = EngineQuestions(engine)
        thread = await questions.ask(threading.get_ident)
        assert thread == engine.submit(threading.get_ident).result() != threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            await questions.ask(lambda: 1 // 0)
        assert await questions.ask(lambda: "again") == "again"

    asyncio.run(run())


def test_batches_are_computed_between_two_steps(engine) -> None:
    done: list[str] = []

    def steps() -> Iterator[None]:
        for number in range(3):
            done.append(f"step {number}")
            engine.submit(done.append, f"batch {number}")
            yield
        return "answer"

    async def run() -> None:
        assert await EngineQuestions(engine).ask_in_steps(steps) == "answer"

    asyncio.run(run())
    assert done == [f"{kind} {number}" for number in range(3) for kind in ("step", "batch")]


def test_too_many_questions_are_turned_away(engine) -> None:
    release = threading.Event()

    async def run() -> None:
        questions = EngineQuestions(engine)
        waiting = [asyncio.create_task(questions.ask(release.wait)) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match=f"{MOST_WAITING} questions wait"):
            await questions.ask(lambda: None)
        release.set()
        assert await asyncio.gather(*waiting) == [True] * MOST_WAITING
        assert await questions.ask(lambda: 1) == 1

    try:
        asyncio.run(run())
    finally:
        release.set()


def test_a_question_that_is_given_up_is_not_asked_later(engine) -> None:
    release, asked = threading.Event(), []

    async def run() -> None:
        questions = EngineQuestions(engine)
        engine.submit(release.wait)
        with pytest.raises(BusyError, match=r"has not answered within 0.05 s"):
            await questions.ask(lambda: asked.append("late"), 0.05)
        release.set()
        assert await questions.ask(lambda: "next") == "next"

    try:
        asyncio.run(run())
    finally:
        release.set()
    assert asked == []
