"""The web app put together: every part is made here and handed what it needs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp_jinja2
import jinja2
from aiohttp import web

from common.background import background
from common.health import CHECKS, Check
from common.lifetime import opened_in_order
from common.observe import observe
from common.redis import open_redis
from common.settings import Settings
from common.telemetry import Telemetry, process_metrics
from web import keys
from web.auth.guard import guard
from web.auth.passwords import Passwords
from web.collector_client import open_collector
from web.db import check_database, open_database
from web.middlewares import add_security_headers, errors, same_origin, sessions
from web.overview.report import keep_reporting
from web.routes import PERSONAL_ROUTES, PUBLIC_PATHS, PUBLIC_ROUTES
from web.sessions import SessionStorage
from web.static_files import STATIC, read_static

HERE = Path(__file__).parent
TEMPLATES = [HERE / "components", HERE / "auth/templates", HERE / "overview/templates"]
MAX_FORM_BYTES = 64 * 1024


def create_app(settings: Settings, telemetry: Telemetry) -> web.Application:
    app = web.Application(
        middlewares=[observe(telemetry), errors, same_origin, sessions, guard(PUBLIC_PATHS)],
        client_max_size=MAX_FORM_BYTES,
    )
    app[keys.SETTINGS] = settings
    app[keys.TELEMETRY] = telemetry
    app[STATIC] = read_static()
    app[CHECKS] = []
    app.add_routes([*PUBLIC_ROUTES, *PERSONAL_ROUTES])
    app.on_response_prepare.append(add_security_headers)
    _set_up_templates(app)
    contexts = opened_in_order(_telemetry_ctx, _database_ctx, _collector_ctx, _sessions_ctx)
    app.cleanup_ctx.append(contexts)
    return app


def _set_up_templates(app: web.Application) -> None:
    environment = aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["static"] = lambda name: app[STATIC][name].address


@asynccontextmanager
async def _telemetry_ctx(app: web.Application) -> AsyncIterator[None]:
    async with process_metrics(app[keys.TELEMETRY]):
        yield


@asynccontextmanager
async def _database_ctx(app: web.Application) -> AsyncIterator[None]:
    address, timing = app[keys.SETTINGS].web.database, app[keys.TELEMETRY].database
    with Passwords() as passwords:
        async with open_database(address, timing) as database:
            app[keys.PASSWORDS] = passwords
            app[keys.DATABASE] = database
            check = partial(check_database, database)
            app[CHECKS].append(Check(name="users", critical=True, run=check))
            yield


@asynccontextmanager
async def _collector_ctx(app: web.Application) -> AsyncIterator[None]:
    async with open_collector(app[keys.SETTINGS], app[keys.TELEMETRY]) as collector:
        app[keys.COLLECTOR] = collector
        app[CHECKS].append(Check(name="collector", critical=False, run=collector.check))
        yield


@asynccontextmanager
async def _sessions_ctx(app: web.Application) -> AsyncIterator[None]:
    async with open_redis(app[keys.SETTINGS]) as redis:
        storage = app[keys.SESSIONS] = SessionStorage(redis.client, app[keys.SETTINGS].web)
        app[CHECKS].append(Check(name="redis", critical=True, run=redis.check))
        reporting = keep_reporting(redis.client, app[keys.DATABASE], storage)
        async with background(reporting, name="platform report"):
            yield
