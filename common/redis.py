"""The link to Redis or Valkey: opened without waiting, retried for ever, told about once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Never
from urllib.parse import quote

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import RedisError

from common.background import background, pause
from common.errors import UsageError
from common.health import CheckFailed
from common.settings import Settings
from common.valkey import embedded_valkey, socket_path

MAX_CONNECTIONS = 64
COMMAND_TIMEOUT_SECONDS = 2.0
# Below the limit of a health check, so that its answer names the address.
CHECK_SECONDS = 1.5
WATCH_SECONDS = 2.0
LOST_WATCH_SECONDS = 0.5
log = structlog.get_logger(__name__)


class CancellableRedis(Redis):
    """A client whose commands never swallow the cancellation of the task that sends them.

    redis-py sends with asyncio.wait_for, which before Python 3.12 loses a cancellation that comes
    just when the bytes are out: a loop that was told to end would go on.
    """

    # Any, as in redis-py.
    async def execute_command(self, *args: Any, **options: Any) -> Any:
        task = asyncio.current_task()
        cancellations = task.cancelling() if task else 0
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        finally:
            if task and task.cancelling() > cancellations:
                raise asyncio.CancelledError


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
            async with asyncio.timeout(CHECK_SECONDS):
                about = await self.client.info("server")
        except TimeoutError:
            why = f"no answer within {CHECK_SECONDS:g} s"
            raise CheckFailed(f"redis at {self.address}: {why}; being retried") from None
        except (RedisError, OSError) as error:
            raise CheckFailed(f"redis at {self.address}: {error}; being retried") from None
        if "valkey_version" in about:
            return f"valkey {about['valkey_version']} at {self.address}"
        return f"redis {about['redis_version']} at {self.address}"

    async def keep_watching(self) -> Never:
        """Say once when the server is lost, and once when it is back."""
        while True:
            try:
                await self.client.ping()
            except (RedisError, OSError) as error:
                if self.is_up is not False:
                    log.warning("redis lost", address=self.address, error=str(error))
                self.is_up = False
            else:
                if self.is_up is False:
                    log.info("redis back", address=self.address)
                self.is_up = True
            await pause(WATCH_SECONDS if self.is_up else LOST_WATCH_SECONDS)


@asynccontextmanager
async def open_redis(settings: Settings) -> AsyncIterator[RedisLink]:
    """The configured server, or the embedded one, started or joined.

    Never fails because the server is away: the link shows it, and comes back by itself.
    Raises DhmonError when the embedded one cannot be had, UsageError for a URL that is none.
    """
    async with AsyncExitStack() as stack:
        if settings.redis.url == "embedded":
            await stack.enter_async_context(embedded_valkey(settings.data_directory))
        client = await stack.enter_async_context(_client(settings))
        link = RedisLink(client, _address(client))
        await stack.enter_async_context(background(link.keep_watching(), name="redis watch"))
        yield link


def _client(settings: Settings) -> Redis:
    url = settings.redis.url
    if url == "embedded":
        url = f"unix://{quote(str(socket_path(settings.data_directory)))}"
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            timeout=COMMAND_TIMEOUT_SECONDS,
            socket_timeout=COMMAND_TIMEOUT_SECONDS,
            socket_connect_timeout=COMMAND_TIMEOUT_SECONDS,
            # Bridges the restart of a server, which takes a few tenths of a second.
            retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), retries=3),
            health_check_interval=30,
        )
    except ValueError:
        # Without its reason, which may quote a part of the password.
        raise UsageError(
            "redis.url",
            why="it is not a URL that can be read",
            remedy="write redis://user:password@host:port/0, special characters percent-encoded",
        ) from None
    return CancellableRedis.from_pool(pool)


def _address(client: Redis) -> str:
    """Where the server is, without user and password."""
    options = client.connection_pool.connection_kwargs
    if "path" in options:
        return str(options["path"])
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
