"""A running web app and what stands beside it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from pytest_aiohttp import AiohttpClient, AiohttpServer
from redis.asyncio import Redis

from common.settings import Settings
from common.telemetry import start
from tests.servers.web import (
    KEY,
    PASSWORD,
    Site,
    StandInCollector,
    make_overview,
    make_settings,
    running_valkey,
)
from web import keys
from web.app import create_app
from web.models import Role, Tier
from web.users.queries import add_user

StartSite = Callable[[Settings], Awaitable[Site]]


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_valkey(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@pytest.fixture
async def redis(valkey: str) -> AsyncIterator[Redis]:
    """The server, empty."""
    async with Redis.from_url(valkey) as client:
        await client.flushall()
        yield client


@pytest.fixture
def collector() -> StandInCollector:
    return StandInCollector(make_overview())


@pytest.fixture
async def web_settings(
    collector: StandInCollector, aiohttp_server: AiohttpServer, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """The [web] keys that join a site to the collector."""
    monkeypatch.setenv("TEST_SERVICE_KEY", KEY)
    monkeypatch.setenv("DHMON_COLLECTOR__SERVICE_KEY", "env:TEST_SERVICE_KEY")
    server = await aiohttp_server(collector.app())
    return {"collector_url": str(server.make_url("/"))}


@pytest.fixture(scope="session")
def password_hash() -> str:
    """Made once: it takes its time on purpose."""
    return PasswordHasher().hash(PASSWORD)


@pytest.fixture
def start_site(aiohttp_client: AiohttpClient, redis: Redis, password_hash: str) -> StartSite:
    """Start a site of these settings, with Ann, an admin, who may sign in."""

    async def start_one(settings: Settings) -> Site:
        telemetry = start(settings.otel, service="web", version="0", environment="development")
        client = await aiohttp_client(create_app(settings, telemetry))
        database = client.app[keys.DATABASE]
        await add_user(database, "Ann", password_hash, role=Role.ADMIN, tier=Tier.PREMIUM)
        return Site(client, redis, settings)

    return start_one


@pytest.fixture
async def site(
    start_site: StartSite, tmp_path: Path, valkey: str, web_settings: dict[str, Any]
) -> Site:
    return await start_site(make_settings(tmp_path, valkey, **web_settings))
