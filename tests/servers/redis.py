"""A Valkey of the test's own, and links to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from common.redis import RedisLink


@asynccontextmanager
async def linked(url: str) -> AsyncIterator[RedisLink]:
    """A link without its watch: `is_up` is the test's to set."""
    async with Redis.from_url(url, socket_timeout=2) as client:
        yield RedisLink(client, url)
