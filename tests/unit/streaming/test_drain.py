"""The fast drain behaves as the stock one: same results, same errors, same cancellation."""

import asyncio

import pytest

from stream_app.streaming.drain import DrainWithoutTasks


class Stock:
    """What the mix-in falls back to; it waits for the first of its coroutines."""

    should_stop = False
    fell_back = 0

    async def wait_first(self, *coros, timeout=None):
        self.fell_back += 1
        tasks = [asyncio.ensure_future(coro) for coro in coros]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        return [task.result() for task in done]


class Drain(DrainWithoutTasks, Stock):
    pass


async def never() -> None:
    await asyncio.Event().wait()


def test_a_callback_that_does_not_block_needs_no_task() -> None:
    async def run() -> tuple[list[str], int]:
        done, drain = [], Drain()

        async def callback() -> None:
            done.append("done")

        await drain.wait_first(callback(), never())
        return done, drain.fell_back

    assert asyncio.run(run()) == (["done"], 0)


def test_a_callback_that_blocks_goes_on_where_it_was() -> None:
    async def run() -> tuple[list[str], int]:
        done, drain, gate = [], Drain(), asyncio.Event()

        async def callback() -> str:
            done.append("before")
            await gate.wait()
            await asyncio.sleep(0)
            done.append("after")
            return "result"

        asyncio.get_running_loop().call_later(0.01, gate.set)
        assert await drain.wait_first(callback(), never()) == ["result"]
        return done, drain.fell_back

    assert asyncio.run(run()) == (["before", "after"], 1)


def test_a_suspended_flow_cancels_a_blocked_callback() -> None:
    async def run() -> list[str]:
        seen, drain = [], Drain()

        async def callback() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        async def suspended() -> None:
            await asyncio.sleep(0.01)

        await drain.wait_first(callback(), suspended())
        await asyncio.sleep(0)
        return seen

    assert asyncio.run(run()) == ["cancelled"]


@pytest.mark.parametrize("blocks", [False, True])
def test_an_error_of_the_callback_is_raised(blocks: bool) -> None:
    async def run() -> None:
        async def callback() -> None:
            if blocks:
                await asyncio.sleep(0)
            raise ValueError("broken")

        await Drain().wait_first(callback(), never())

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(run())
