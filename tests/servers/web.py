"""The web app as a running site: real Valkey, real SQLite, a collector that obeys the test."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient
from redis.asyncio import Redis

from common.overview import Overview, Reading, Unit
from common.settings import Settings
from common.valkey import server_binary
from tests.servers.process import running

KEY = "the service key of this test"
PASSWORD = "correct horse battery"  # noqa: S105 - everybody's, in tests
OURS = {"Sec-Fetch-Site": "same-origin"}
COOKIE = "dhmon_session"

Client = TestClient[web.Request, web.Application]


@contextmanager
def running_valkey(directory: Path) -> Iterator[str]:
    """A Valkey server that keeps nothing on disk; yields its URL."""
    socket = directory / "valkey.sock"
    command: list[str | Path] = [
        server_binary(),
        "--port",
        "0",
        "--unixsocket",
        socket,
        "--save",
        "",
    ]
    with running(command, log=directory / "valkey.log", ready="Ready to accept connections"):
        yield f"unix://{socket}"


def make_settings(directory: Path, redis_url: str, **web_settings: Any) -> Settings:
    return Settings.model_validate(
        {
            "collector": {"data": directory / "monitor.duckdb"},
            "web": {"database": f"sqlite:///{directory}/web.db", **web_settings},
            "redis": {"url": redis_url},
        }
    )


@dataclass(frozen=True, slots=True)
class Site:
    """One running web app, with the browser that looks at it."""

    client: Client
    redis: Redis
    settings: Settings

    async def sign_in(
        self, name: str = "ann", password: str = PASSWORD, **fields: str
    ) -> ClientResponse:
        form = {"name": name, "password": password, **fields}
        return await self.client.post("/login", data=form, headers=OURS, allow_redirects=False)

    async def get(self, path: str, **headers: str) -> ClientResponse:
        return await self.client.get(path, headers=headers, allow_redirects=False)

    @property
    def session_id(self) -> str | None:
        """What the browser holds."""
        cookie = self.client.session.cookie_jar.filter_cookies(self.client.make_url("/"))
        return cookie[COOKIE].value if COOKIE in cookie else None

    async def records(self) -> list[bytes]:
        """The keys of all sessions in Redis."""
        return [key async for key in self.redis.scan_iter("dhmon:session:*")]


@dataclass(slots=True)
class StandInCollector:
    """A collector over HTTP that answers with `overview`, or as a broken one would."""

    overview: Overview
    status: int = 200
    body: bytes | None = None
    hangs: bool = False
    seen: list[dict[str, str]] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/healthz", self.answer)
        app.router.add_post("/v1/{signal}", self.take)
        app.router.add_get("/api/v1/overview", self.answer)
        return app

    async def take(self, request: web.Request) -> web.Response:
        """As an OpenTelemetry collector does."""
        return web.Response()

    async def answer(self, request: web.Request) -> web.Response:
        self.seen.append(dict(request.headers))
        if self.hangs:
            await asyncio.Event().wait()
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.Response(status=401)
        body = self.body if self.body is not None else msgspec.json.encode(self.overview)
        return web.Response(status=self.status, body=body)


def reading(value: float | None, unit: Unit = "ratio", **changes: Any) -> Reading:
    known: dict[str, Any] = {
        "window_seconds": 86_400.0,
        "measured_at": datetime.now(UTC),
        "source": "probe_results",
    }
    return Reading(value=value, unit=unit, **(known | changes))


def make_overview(**changes: Any) -> Overview:
    """Everything known, nothing watched."""
    figures: dict[str, Any] = {
        name: reading(0.5) for name in ("uptime", "error_rate", "cpu", "memory", "disk")
    }
    figures |= {
        "generated_at": datetime.now(UTC),
        "response_time": reading(0.25, "seconds"),
        "users": reading(3, "count"),
        "targets": [],
        "incidents": [],
    }
    return Overview(**(figures | changes))
