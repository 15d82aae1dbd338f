"""How much a key may send in a minute, counted in Redis, so that several processes share it.

A process takes tokens from Redis a slice at a time and spends them by itself. What it took and did
not spend is lost at the end of the minute, so a key may be held back up to one slice (a fiftieth)
for each other process early; it is never given more than its quota in a minute. (A minute is a
minute of the clock: across its end, sixty seconds can hold two quotas.) Without Redis each process
gives out the quota by itself: at most the quota times the number of processes.
"""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog
from redis.exceptions import RedisError

from common.errors import DhmonError
from common.redis import RedisLink

KEY = "dhmon:quota"
WINDOW_SECONDS = 60
SLICES = 50
TAKE_SECONDS = 0.5
MAX_LEASES = 10_000
log = structlog.get_logger(__name__)


class QuotaSpentError(DhmonError):
    """A key has sent as much as it may for now; `headers` tell how much that is, and until when."""

    def __init__(self, what: str, *, why: str, remedy: str, headers: Mapping[str, str]) -> None:
        super().__init__(what, why=why, remedy=remedy)
        self.headers = headers


@dataclass(slots=True)
class Lease:
    """One key's minute as this process sees it.

    Attributes:
        left: tokens that this process holds and has not spent.
        taken: tokens that all processes have taken, as Redis last said.
        is_final: there is nothing more to take in this minute.
    """

    window: int
    limit: int
    left: int = 0
    taken: int = 0
    is_final: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def remaining(self) -> int:
        return self.left if self.is_final else self.limit - self.taken + self.left


class Quotas:
    """`limits`: tokens a minute by tier; a tier that is not in it has no limit."""

    def __init__(
        self,
        link: RedisLink,
        limits: Mapping[str, int],
        *,
        on_shared: Callable[[bool], None] = lambda shared: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`on_shared` is told whether the last take was counted in Redis."""
        self._link = link
        self._limits = limits
        self._on_shared = on_shared
        self._clock = clock
        self._leases: dict[str, Lease] = {}

    def refuse_when_spent(self, key_id: str, tier: str) -> None:
        """For before the work is done whose size is not known yet. Raises QuotaSpentError."""
        lease = self._lease(key_id, tier)
        if lease is not None and lease.is_final and lease.left == 0:
            raise self._spent(lease, 1)

    async def take(self, key_id: str, tier: str, tokens: int) -> dict[str, str]:
        """Spend `tokens`; returns the headers that tell what is left. Raises QuotaSpentError."""
        lease = self._lease(key_id, tier)
        if lease is None:
            return {}
        if tokens > lease.limit:
            raise self._spent(lease, tokens)
        if lease.left < tokens and not lease.is_final:
            async with lease.lock:
                if lease.left < tokens and not lease.is_final:
                    await self._take_more(key_id, lease, tokens)
        if lease.left < tokens:
            raise self._spent(lease, tokens)
        lease.left -= tokens
        return self._headers(lease)

    def _lease(self, key_id: str, tier: str) -> Lease | None:
        limit = self._limits.get(tier)
        if limit is None:
            return None
        window = int(self._clock()) // WINDOW_SECONDS
        lease = self._leases.get(key_id)
        if lease is None or lease.window != window or lease.limit != limit:
            if len(self._leases) >= MAX_LEASES:
                self._leases = {k: v for k, v in self._leases.items() if v.window == window}
            lease = self._leases[key_id] = Lease(window, limit)
        return lease

    async def _take_more(self, key_id: str, lease: Lease, tokens: int) -> None:
        wanted = max(tokens - lease.left, lease.limit // SLICES)
        name = f"{KEY}:{key_id}:{lease.window}"
        taken = await self._count(name, wanted)
        if taken is None:
            # Everything that this process has not had yet, without asking any more.
            lease.left += lease.limit - lease.taken
            lease.taken = lease.limit
            lease.is_final = True
            return
        before = taken - wanted
        lease.left += max(0, min(wanted, lease.limit - before))
        lease.taken = min(taken, lease.limit)
        lease.is_final = taken >= lease.limit

    async def _count(self, name: str, tokens: int) -> int | None:
        """Tokens taken in this minute so far by all, these included; None when Redis is away."""
        taken = None
        if self._link.is_up is not False:
            try:
                async with (
                    asyncio.timeout(TAKE_SECONDS),
                    self._link.client.pipeline(transaction=False) as commands,
                ):
                    commands.incrby(name, tokens)
                    commands.expire(name, 2 * WINDOW_SECONDS)
                    taken = int((await commands.execute())[0])
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("quota is not shared: redis does not answer", error=str(error))
        self._on_shared(taken is not None)
        return taken

    def _spent(self, lease: Lease, tokens: int) -> QuotaSpentError:
        seconds = self._seconds_left(lease)
        allowed = f"{lease.limit} events a minute"
        if tokens > lease.limit:
            why, remedy = f"has {tokens} events; its key may send {allowed}", "send it in parts"
        else:
            why = f"is more than is left of {allowed} for its key"
            remedy = f"send it again in {seconds} s"
        headers = self._headers(lease) | {"Retry-After": str(seconds)}
        return QuotaSpentError("the request", why=why, remedy=remedy, headers=headers)

    def _headers(self, lease: Lease) -> dict[str, str]:
        """draft-ietf-httpapi-ratelimit-headers."""
        return {
            "RateLimit-Policy": f'"events";q={lease.limit};w={WINDOW_SECONDS}',
            "RateLimit": f'"events";r={lease.remaining};t={self._seconds_left(lease)}',
        }

    def _seconds_left(self, lease: Lease) -> int:
        return max(1, math.ceil((lease.window + 1) * WINDOW_SECONDS - self._clock()))
