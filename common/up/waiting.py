"""Waiting until a part answers over HTTP, and saying so while it takes long."""

import asyncio
import time
from collections.abc import Callable

from common.probe_settings import host_port

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
ANSWER_SECONDS = 2.0
FIRST_WORD_SECONDS = 2.0


async def wait_until_answered(
    name: str, address: str, path: str, say: Callable[[str], None]
) -> None:
    """Ask `address` ("host:port") until it answers 200, for ever; speak up ever less often."""
    started = time.monotonic()
    pause, next_word = FIRST_PAUSE_SECONDS, FIRST_WORD_SECONDS
    while not await _is_well(address, path):
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)
        waited = time.monotonic() - started
        if waited >= next_word:
            say(f"waiting for {name} … {waited:.0f} s")
            next_word *= 2


async def _is_well(address: str, path: str) -> bool:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            status = await _status_line(address, path)
    except (OSError, TimeoutError):
        return False
    return b" 200 " in status


async def _status_line(address: str, path: str) -> bytes:
    reader, writer = await asyncio.open_connection(*host_port(address))
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
        return await reader.readline()
    finally:
        writer.close()
