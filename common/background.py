"""A loop that runs beside a block of code, and cannot die unnoticed."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Never


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
