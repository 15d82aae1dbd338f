"""Quotas: shared by all processes, never exceeded while Redis is there, given on without it."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator

import pytest

from common.quota import SLICES, Quotas, QuotaSpentError
from common.redis import RedisLink
from tests.servers.redis import linked
from tests.servers.web import running_valkey

LIMIT = 1_000
LIMITS = {"free": LIMIT}


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_valkey(tmp_path_factory.mktemp("quota")) as url:
        yield url


@pytest.fixture
async def link(valkey: str) -> AsyncIterator[RedisLink]:
    async with linked(valkey) as opened:
        await opened.client.flushall()
        yield opened


class Clock:
    """Seconds since 1970 that pass when the test says so; a minute has just begun."""

    def __init__(self) -> None:
        self.now = 60_000_000.0

    def __call__(self) -> float:
        return self.now


async def spend(quotas: Quotas, tokens: int = 1) -> bool:
    try:
        await quotas.take("k1", "free", tokens)
    except QuotaSpentError:
        return False
    return True


async def calls(link: RedisLink) -> int:
    stats = await link.client.info("commandstats")
    return int(stats.get("cmdstat_incrby", {"calls": 0})["calls"])


async def test_the_headers_tell_the_policy_and_what_is_left(link: RedisLink) -> None:
    clock = Clock()
    quotas = Quotas(link, LIMITS, clock=clock)
    clock.now += 17.5

    headers = await quotas.take("k1", "free", 10)

    assert headers == {
        "RateLimit-Policy": '"events";q=1000;w=60',
        "RateLimit": '"events";r=990;t=43',
    }


async def test_a_tier_without_a_limit_is_not_counted(link: RedisLink) -> None:
    assert await Quotas(link, LIMITS, clock=Clock()).take("k1", "unlimited", 10**9) == {}
    assert await link.client.keys("*") == []


async def test_what_is_spent_is_refused_until_the_minute_ends(link: RedisLink) -> None:
    clock = Clock()
    quotas = Quotas(link, LIMITS, clock=clock)
    await quotas.take("k1", "free", LIMIT)
    clock.now += 20

    with pytest.raises(QuotaSpentError) as refused:
        await quotas.take("k1", "free", 1)
    with pytest.raises(QuotaSpentError):
        quotas.refuse_when_spent("k1", "free")

    assert refused.value.headers["Retry-After"] == "40"
    assert refused.value.headers["RateLimit"] == '"events";r=0;t=40'
    clock.now += 40
    quotas.refuse_when_spent("k1", "free")
    assert await spend(quotas)


async def test_each_key_has_a_quota_of_its_own(link: RedisLink) -> None:
    quotas = Quotas(link, LIMITS, clock=Clock())
    await quotas.take("k1", "free", LIMIT)

    assert await quotas.take("k2", "free", LIMIT)


async def test_a_request_beyond_the_whole_quota_costs_nothing(link: RedisLink) -> None:
    quotas = Quotas(link, LIMITS, clock=Clock())

    with pytest.raises(QuotaSpentError, match="in parts"):
        await quotas.take("k1", "free", LIMIT + 1)

    assert await spend(quotas, LIMIT)


async def test_two_processes_together_are_given_the_quota_and_no_more(link: RedisLink) -> None:
    clock = Clock()
    processes = [Quotas(link, LIMITS, clock=clock) for _ in range(3)]
    dice = random.Random(7)  # noqa: S311 - which process is asked next
    sizes = [dice.randint(1, 9) for _ in range(400)]

    async def ask(size: int) -> int:
        return size if await spend(dice.choice(processes), size) else 0

    given = sum(await asyncio.gather(*map(ask, sizes)))

    # What the others hold back at the end is less than a slice each.
    assert LIMIT - 3 * (LIMIT // SLICES) - 9 <= given <= LIMIT


async def test_redis_is_asked_once_for_each_slice_and_never_for_what_is_spent(
    link: RedisLink,
) -> None:
    quotas = Quotas(link, LIMITS, clock=Clock())
    before = await calls(link)

    given = sum([await spend(quotas) for _ in range(2 * LIMIT)])

    assert given == LIMIT
    assert await calls(link) - before <= SLICES


async def test_without_redis_each_process_gives_the_quota_by_itself(link: RedisLink) -> None:
    clock = Clock()
    told: list[bool] = []
    quotas = Quotas(link, LIMITS, on_shared=told.append, clock=clock)
    link.is_up = False

    assert await spend(quotas, LIMIT)
    assert not await spend(quotas)
    assert told == [False]

    link.is_up = True
    clock.now += 60
    assert await spend(quotas)
    assert told == [False, True]


async def test_a_redis_that_goes_away_in_the_middle_gives_no_more_than_the_rest(
    link: RedisLink,
) -> None:
    clock = Clock()
    quotas = Quotas(link, LIMITS, clock=clock)
    await quotas.take("k1", "free", 600)
    link.is_up = False

    given = sum([await spend(quotas) for _ in range(LIMIT)])

    assert given == LIMIT - 600


async def test_counters_do_not_stay_in_redis(link: RedisLink) -> None:
    await Quotas(link, LIMITS, clock=Clock()).take("k1", "free", 1)

    [name] = await link.client.keys("dhmon:quota:*")
    assert 0 < await link.client.ttl(name) <= 120
