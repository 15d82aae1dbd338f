"""A loop that runs beside a block of code, and cannot die unnoticed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Never, TypeVar

Outcome = TypeVar("Outcome")


@asynccontextmanager
async def background(loop: Coroutine[Any, Any, Never], *, name: str) -> AsyncIterator[None]:
    """Run `loop` until the block ends; an error of the loop cancels the block and is raised.

    The block's own error, or the loop's, arrives as itself, not inside a group.
    """
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(loop, name=name)
            yield
            task.cancel()
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def pause(seconds: float) -> None:
    """Sleep, unless this task has been cancelled already.

    A library may take a cancellation for a time-out of its own and go on: redis-py does when it is
    connecting. A loop that sleeps after it would never end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    await asyncio.sleep(seconds)


async def to_the_end(work: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Wait for `work` however often this task is cancelled meanwhile: for stopping what must not
    stay behind. The work itself has to end in time."""
    task = asyncio.create_task(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    return task.result()
