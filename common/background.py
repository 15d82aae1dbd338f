"""A loop that runs beside a block of code, and cannot die unnoticed."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Never

REPEAT_SECONDS = 0.5


@asynccontextmanager
async def background(loop: Coroutine[Any, Any, Never], *, name: str) -> AsyncIterator[None]:
    """Run `loop` until the block ends; an error of the loop cancels the block and is raised.

    The block's own error, or the loop's, arrives as itself, not inside a group.
    """
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(loop, name=name)
            try:
                yield
            finally:
                await _end(task)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _end(task: asyncio.Task[Never]) -> None:
    """A library may take a cancellation for a time-out of its own and go on (redis-py does when it
    is connecting): ask until it is heard."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=REPEAT_SECONDS)
