"""The link to Redis or Valkey: opened without waiting, retried for ever, told about once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import RedisError

from common.health import CheckFailed
from common.settings import Settings
from common.valkey import embedded_valkey, socket_path

COMMAND_TIMEOUT_SECONDS = 2.0
WATCH_SECONDS = 5.0
LOST_WATCH_SECONDS = 0.5
# An embedded server that is just starting is not lost.
FAILURES_BEFORE_A_WORD = 4
log = structlog.get_logger(__name__)


class RedisLink:
    """`client` connects when it is first used, and again whenever the connection is lost.

    Attributes:
        is_up: whether the server answered when last asked; None before the first answer.
    """

    def __init__(self, client: Redis, address: str) -> None:
        self.client = client
        self.address = address
        self.is_up: bool | None = None

    async def check(self) -> str:
        """The server's version and address. Raises CheckFailed when it does not answer."""
        try:
            about = await self.client.info("server")
        except (RedisError, OSError) as error:
            raise CheckFailed(f"{self.address} does not answer ({error}); being retried") from None
        return f"{about.get('server_name', 'redis')} {about['redis_version']} at {self.address}"

    async def keep_watching(self) -> None:
        """Say once when the server is lost, and once when it is back."""
        failures = 0
        while True:
            try:
                await self.client.ping()
            except (RedisError, OSError) as error:
                self.is_up = False
                failures += 1
                if failures == FAILURES_BEFORE_A_WORD:
                    log.warning("redis lost, being retried", address=self.address, error=str(error))
            else:
                if failures >= FAILURES_BEFORE_A_WORD:
                    log.info("redis back", address=self.address)
                self.is_up = True
                failures = 0
            await asyncio.sleep(WATCH_SECONDS if self.is_up else LOST_WATCH_SECONDS)


@asynccontextmanager
async def open_redis(settings: Settings) -> AsyncIterator[RedisLink]:
    """The configured server, or the embedded one, started or joined.

    Never fails because the server is away: the link shows it, and comes back by itself.
    """
    async with AsyncExitStack() as stack:
        if settings.redis.url == "embedded":
            await stack.enter_async_context(embedded_valkey(settings.data_directory))
        client = _client(settings)
        stack.push_async_callback(client.aclose)
        link = RedisLink(client, _address(client))
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(link.keep_watching(), name="redis watch")
            yield link
            watching.cancel()


def _client(settings: Settings) -> Redis:
    url = settings.redis.url
    if url == "embedded":
        url = f"unix://{socket_path(settings.data_directory)}"
    return Redis.from_url(
        url,
        socket_timeout=COMMAND_TIMEOUT_SECONDS,
        socket_connect_timeout=COMMAND_TIMEOUT_SECONDS,
        retry=Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.2), retries=2),
        health_check_interval=30,
        max_connections=64,
    )


def _address(client: Redis) -> str:
    """Where the server is, without user and password."""
    options = client.connection_pool.connection_kwargs
    if "path" in options:
        return str(options["path"])
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
