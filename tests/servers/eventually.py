"""Waiting for something that another process does: until it is so, or a deadline has passed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

DEADLINE_SECONDS = 60.0
PAUSE_SECONDS = 0.2

Value = TypeVar("Value")


async def eventually(
    look: Callable[[], Awaitable[Value]], is_right: Callable[[Value], bool]
) -> Value:
    """The first value for which `is_right`, else the last one seen: assert on it."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DEADLINE_SECONDS
    value = await look()
    while not is_right(value) and loop.time() < deadline:
        await asyncio.sleep(PAUSE_SECONDS)
        value = await look()
    return value
