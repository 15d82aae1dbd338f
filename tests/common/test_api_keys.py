"""API keys: kept as hashes, found fast, refused soon after they are revoked."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from common import api_keys
from common.api_keys import (
    ApiKeys,
    KeysUnavailableError,
    UnknownKeyError,
    create_key,
    list_keys,
    revoke_key,
)
from common.errors import UsageError
from common.redis import RedisLink
from tests.servers.redis import linked
from tests.servers.web import running_valkey


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[str]:
    with running_valkey(tmp_path) as url:
        yield url


@pytest.fixture
async def link(valkey: str) -> AsyncIterator[RedisLink]:
    async with linked(valkey) as opened:
        yield opened


class Clock:
    """Monotonic seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def commands(link: RedisLink) -> int:
    """How many times keys have been looked up."""
    stats = await link.client.info("commandstats")
    return int(stats.get("cmdstat_hgetall", {"calls": 0})["calls"])


async def test_a_key_is_known_again_with_all_that_was_said_of_it(link: RedisLink) -> None:
    given, made = await create_key(
        link.client, name="shop", scopes=["sql", "ingest"], user="ann", tier="premium"
    )

    found = await ApiKeys(link).identify(given)

    assert found == made
    assert sorted(made.scopes) == ["ingest", "sql"]
    assert (made.user, made.tier) == ("ann", "premium")


async def test_redis_holds_a_hash_and_never_the_secret(link: RedisLink) -> None:
    given, made = await create_key(link.client, name="shop", scopes=["ingest"])
    secret = given.rpartition("_")[2]

    record = await link.client.hgetall(f"dhmon:key:{made.id}")

    assert record[b"hash"] == sha256(secret.encode()).hexdigest().encode()
    assert secret.encode() not in str(record).encode()


@pytest.mark.parametrize("name", ["", " a", "a\nb", "x" * 257])
async def test_a_name_that_is_none_is_refused(link: RedisLink, name: str) -> None:
    with pytest.raises(UsageError, match="printable"):
        await create_key(link.client, name=name, scopes=["read"])
    with pytest.raises(UsageError, match="printable"):
        await create_key(link.client, name="good", user=name, scopes=["read"])


async def test_wrong_keys_are_refused(link: RedisLink) -> None:
    given, made = await create_key(link.client, name="shop", scopes=["ingest"])
    keys = ApiKeys(link)

    for wrong in [
        "",
        given[:-1],
        given + "0",
        given.upper(),
        f"dhm_{made.id}_{'0' * 48}",
        f"dhm_{'0' * 12}_{given.rpartition('_')[2]}",
        "dhm_é_\udcff",
    ]:
        assert await keys.identify(wrong) is None


async def test_a_revoked_key_is_refused_after_a_second(link: RedisLink) -> None:
    given, made = await create_key(link.client, name="shop", scopes=["ingest"])
    clock = Clock()
    keys = ApiKeys(link, clock)
    assert await keys.identify(given)

    await revoke_key(link.client, made.id)
    clock.now += 0.9
    within = await keys.identify(given)
    clock.now += 0.1
    after = await keys.identify(given)

    assert (within, after) == (made, None)
    [listed] = await list_keys(link.client)
    assert listed.revoked_at is not None


async def test_revoking_twice_keeps_the_first_time_and_a_stranger_cannot_be_revoked(
    link: RedisLink,
) -> None:
    _, made = await create_key(link.client, name="shop", scopes=["ingest"])
    await revoke_key(link.client, made.id)
    [first] = await list_keys(link.client)

    await revoke_key(link.client, made.id)

    assert await list_keys(link.client) == [first]
    with pytest.raises(UnknownKeyError, match="dhmon key list"):
        await revoke_key(link.client, "none")


async def test_redis_is_asked_once_for_all_who_ask_within_a_second(link: RedisLink) -> None:
    given, made = await create_key(link.client, name="shop", scopes=["ingest"])
    keys = ApiKeys(link)
    before = await commands(link)

    at_once = await asyncio.gather(*(keys.identify(given) for _ in range(50)))
    later = [await keys.identify(given) for _ in range(50)]

    assert at_once + later == [made] * 100
    assert await commands(link) - before == 1


async def test_a_key_in_use_is_looked_up_again_before_anybody_has_to_wait(
    link: RedisLink,
) -> None:
    given, made = await create_key(link.client, name="shop", scopes=["ingest"])
    clock = Clock()
    keys = ApiKeys(link, clock)
    await keys.identify(given)
    clock.now += 0.9
    assert await keys.identify(given) == made
    await asyncio.gather(*keys._asking.values())

    link.is_up = False
    clock.now += 0.6

    assert await keys.identify(given) == made


async def test_a_wrong_key_is_looked_up_once_a_second(link: RedisLink) -> None:
    keys = ApiKeys(link)
    wrong = f"dhm_{'0' * 12}_{'0' * 48}"

    for _ in range(50):
        assert await keys.identify(wrong) is None

    assert await commands(link) == 1


async def test_guessing_does_not_keep_those_out_who_are_known(
    link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_keys, "MAX_STRANGERS", 5)
    given, made = await create_key(link.client, name="shop", scopes=["ingest"])
    clock = Clock()
    keys = ApiKeys(link, clock)
    assert await keys.identify(given)
    clock.now += 1

    with pytest.raises(KeysUnavailableError, match="too many unknown keys"):
        for number in range(6):
            await keys.identify(f"dhm_{number:012}_{'0' * 48}")

    assert await keys.identify(given) == made
    clock.now += 1
    assert await keys.identify(f"dhm_{7:012}_{'0' * 48}") is None


async def test_what_is_remembered_is_bounded(
    link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_keys, "MAX_CACHED", 3)
    keys = ApiKeys(link)

    for number in range(10):
        await keys.identify(f"dhm_{number:012}_{'0' * 48}")

    assert len(keys._bad) == 3


async def test_without_redis_a_key_is_neither_good_nor_bad_unless_it_is_fresh(
    tmp_path: Path,
) -> None:
    clock = Clock()
    with running_valkey(tmp_path) as url:
        link_context = linked(url)
        link = await link_context.__aenter__()
        given, made = await create_key(link.client, name="shop", scopes=["ingest"])
        keys = ApiKeys(link, clock)
        assert await keys.identify(given)
    try:
        assert await keys.identify(given) == made
        clock.now += 1
        with pytest.raises(KeysUnavailableError, match="cannot be checked"):
            await keys.identify(given)
        link.is_up = False
        with pytest.raises(KeysUnavailableError, match="redis does not answer"):
            await keys.identify(given)
    finally:
        await link_context.__aexit__(None, None, None)


async def test_a_tier_of_a_newer_version_is_the_smallest(link: RedisLink) -> None:
    given, made = await create_key(link.client, name="shop", scopes=["ingest"])
    await link.client.hset(f"dhmon:key:{made.id}", "tier", "galactic")

    found = await ApiKeys(link).identify(given)

    assert found is not None
    assert found.tier == "free"
