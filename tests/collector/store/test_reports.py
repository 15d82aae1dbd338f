"""Who looks on hears everything, and work that nobody looks on ends."""

import asyncio
import threading
from contextlib import aclosing

import pytest

from collector.errors import StoreError
from collector.model.report import Progress, Report, Say, Verified
from collector.store import reports as module
from collector.store.reports import STARTING, Abandoned, reports

HALF = Progress("half", 1, 2, "parts")
DONE = Verified(checks=1, differences=0)


async def test_everything_is_told_in_order_from_any_thread() -> None:
    async def work(say: Say) -> None:
        say(HALF)
        await asyncio.to_thread(say, DONE)

    assert [report async for report in reports(work)] == [HALF, DONE]


async def test_an_error_comes_after_what_was_told() -> None:
    async def work(say: Say) -> None:
        say(HALF)
        raise StoreError("it", why="broke", remedy="mend it")

    async with aclosing(reports(work)) as lines:
        assert await anext(lines) == HALF
        with pytest.raises(StoreError, match="it: broke"):
            await anext(lines)


async def test_silence_is_broken_so_that_a_listener_who_left_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "REPEAT_SECONDS", 0.01)
    go_on = asyncio.Event()

    async def work(say: Say) -> None:
        await go_on.wait()
        say(DONE)

    told: list[Report] = []
    async for report in reports(work):
        told.append(report)
        if len(told) == 3:
            go_on.set()

    assert told[:3] == [STARTING] * 3
    assert told[-1] == DONE


async def test_when_the_listener_leaves_the_work_is_cancelled() -> None:
    ended = asyncio.Event()

    async def work(say: Say) -> None:
        say(HALF)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with aclosing(reports(work)) as lines:
        assert await anext(lines) == HALF

    assert ended.is_set()


async def test_when_the_listener_leaves_work_on_a_thread_ends_at_its_next_word() -> None:
    has_left = threading.Event()
    outcomes: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def on_thread(say: Say) -> None:
        say(HALF)
        has_left.wait()
        try:
            say(DONE)
        except Abandoned:
            loop.call_soon_threadsafe(outcomes.put_nowait, "abandoned")

    async with aclosing(reports(lambda say: asyncio.to_thread(on_thread, say))) as lines:
        assert await anext(lines) == HALF
    has_left.set()

    assert await outcomes.get() == "abandoned"
