"""The web app put together: every part is made here and handed what it needs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp_jinja2
import aiohttp_session
import jinja2
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from sqlalchemy.exc import SQLAlchemyError

from common.health import CHECKS, Check, CheckFailed
from common.observe import observe
from common.redis import open_redis
from common.settings import Settings
from common.telemetry import Telemetry
from web import keys
from web.collector_client import CollectorClient, CollectorError, open_collector
from web.db import Database, open_database, ping
from web.middlewares import error_pages, same_origin, security_headers
from web.overview.report import keep_reporting
from web.passwords import Passwords
from web.routes import routes
from web.sessions import SessionStorage
from web.static_files import StaticFiles

TEMPLATES = Path(__file__).parent
MAX_FORM_BYTES = 64 * 1024


def create_app(settings: Settings, telemetry: Telemetry) -> web.Application:
    app = web.Application(
        middlewares=[
            observe(telemetry),
            security_headers,
            error_pages,
            same_origin,
            _sessions,
        ],
        client_max_size=MAX_FORM_BYTES,
    )
    app[keys.SETTINGS] = settings
    app[keys.TELEMETRY] = telemetry
    app[keys.STATIC] = static = StaticFiles()
    app[CHECKS] = []
    environment = aiohttp_jinja2.setup(
        app, loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined
    )
    environment.globals["static"] = static.address
    app.add_routes(routes(static))
    for context in (_telemetry_ctx, _passwords_ctx, _database_ctx, _collector_ctx, _redis_ctx):
        app.cleanup_ctx.append(context)
    return app


@web.middleware
async def _sessions(request: web.Request, handler: Handler) -> web.StreamResponse:
    """aiohttp-session wants its storage before Redis is open: the two are joined per request."""
    middleware = aiohttp_session.session_middleware(request.app[keys.SESSIONS])
    return await middleware(request, handler)


@asynccontextmanager
async def _telemetry_ctx(app: web.Application) -> AsyncIterator[None]:
    registry = app[keys.TELEMETRY].registry
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    try:
        yield
    finally:
        await asyncio.to_thread(app[keys.TELEMETRY].shut_down)


@asynccontextmanager
async def _passwords_ctx(app: web.Application) -> AsyncIterator[None]:
    passwords = app[keys.PASSWORDS] = await asyncio.to_thread(Passwords)
    try:
        yield
    finally:
        passwords.close()


@asynccontextmanager
async def _database_ctx(app: web.Application) -> AsyncIterator[None]:
    timing = app[keys.TELEMETRY].database

    def measure(system: str, operation: str, seconds: float) -> None:
        timing.record(seconds, {"db.system.name": system, "db.operation.name": operation})

    async with open_database(app[keys.SETTINGS].web.database, measure) as database:
        app[keys.DATABASE] = database
        app[CHECKS].append(Check(name="users", critical=True, run=_users_check(database)))
        yield


def _users_check(database: Database) -> Callable[[], Awaitable[str]]:
    async def check() -> str:
        try:
            return await ping(database)
        except (SQLAlchemyError, OSError) as error:
            raise CheckFailed(f"the users database does not answer: {error}") from None

    return check


@asynccontextmanager
async def _collector_ctx(app: web.Application) -> AsyncIterator[None]:
    async with open_collector(app[keys.SETTINGS], app[keys.TELEMETRY]) as collector:
        app[keys.COLLECTOR] = collector
        run = _collector_check(collector)
        app[CHECKS].append(Check(name="collector", critical=False, run=run))
        yield


def _collector_check(collector: CollectorClient) -> Callable[[], Awaitable[str]]:
    async def check() -> str:
        try:
            return await collector.is_alive()
        except CollectorError as error:
            raise CheckFailed(str(error)) from None

    return check


@asynccontextmanager
async def _redis_ctx(app: web.Application) -> AsyncIterator[None]:
    async with open_redis(app[keys.SETTINGS]) as redis, asyncio.TaskGroup() as group:
        app[keys.REDIS] = redis
        app[keys.SESSIONS] = SessionStorage(redis.client, app[keys.SETTINGS].web)
        app[CHECKS].append(Check(name="redis", critical=True, run=redis.check))
        reporting = group.create_task(
            keep_reporting(redis.client, app[keys.DATABASE]), name="platform report"
        )
        yield
        reporting.cancel()
