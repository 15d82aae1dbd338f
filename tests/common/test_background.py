"""A loop beside a block: neither hides what happens to the other."""

import asyncio
from typing import Never

import pytest

from common.background import background, pause, to_the_end


async def fail() -> Never:
    raise LookupError("the loop")


async def run_for_ever(ended: list[str]) -> Never:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append("loop")
    raise AssertionError("nobody sets this event")


async def test_a_loop_that_dies_ends_the_block_with_its_error() -> None:
    with pytest.raises(LookupError, match="the loop"):
        async with background(fail(), name="loop"):
            await asyncio.Event().wait()


async def test_an_error_of_the_block_arrives_as_itself_and_ends_the_loop() -> None:
    ended: list[str] = []

    with pytest.raises(KeyError, match="the block"):
        async with background(run_for_ever(ended), name="loop"):
            await asyncio.sleep(0)
            raise KeyError("the block")

    assert ended == ["loop"]


async def test_a_block_that_ends_ends_the_loop() -> None:
    ended: list[str] = []

    async with background(run_for_ever(ended), name="loop"):
        await asyncio.sleep(0)

    assert ended == ["loop"]


async def test_a_loop_ends_although_a_library_swallowed_its_cancellation() -> None:
    """What redis-py 8.1 does to a cancellation that comes while it is connecting."""
    working = asyncio.Event()
    swallowed = 0

    async def loop() -> Never:
        nonlocal swallowed
        while True:
            try:
                working.set()
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
            await pause(60)

    async with asyncio.timeout(30), background(loop(), name="stubborn"):
        await working.wait()

    assert swallowed == 1


async def test_a_clean_up_comes_to_its_end_however_often_it_is_cancelled() -> None:
    may_end = asyncio.Event()
    cleaning = asyncio.create_task(to_the_end(may_end.wait()))
    for _ in range(3):
        await asyncio.sleep(0)
        cleaning.cancel()
    await asyncio.sleep(0)
    is_still_cleaning = not cleaning.done()

    may_end.set()

    assert is_still_cleaning
    assert await cleaning is True
