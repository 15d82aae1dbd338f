"""The collector put together: every part is made here and handed what it needs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Never

from aiohttp import web

from collector import host, keys, platform
from collector.api.auth import require_key
from collector.api.errors import problems
from collector.api.routes import ROUTES
from collector.errors import StoreError
from collector.ingest.events import open_event_ingest
from collector.ingest.meters import IngestMeters
from collector.probes.base import Prober
from collector.probes.connectivity import Uplink
from collector.probes.dns import DnsProber
from collector.probes.http import HttpProber, open_http_prober
from collector.probes.icmp import IcmpProber
from collector.probes.runner import Runner
from collector.probes.tcp import TcpProber
from collector.probes.tls import TlsProber
from collector.probes.tools import ProbeTools, open_tools
from collector.recorder import Recorder
from collector.signals.exposition import SnapshotCollector
from collector.signals.meters import CollectorMeters
from collector.snapshot import Snapshot
from collector.store.care import keep_compacting
from collector.store.lake import place_of
from collector.store.lake_upkeep import keep_maintaining
from collector.store.store import Store, open_store
from collector.store.upkeep import keep_retiring, keep_rolling
from collector.watch import Watch
from common.api_keys import ApiKeys
from common.background import background
from common.health import CHECKS, Check, CheckFailed
from common.lifetime import Context, opened_in_order
from common.observe import observe
from common.redis import RedisLink, open_redis
from common.service_key import service_key
from common.settings import CollectorSettings, Settings
from common.telemetry import Telemetry, process_metrics


def probers(tools: ProbeTools, http: HttpProber) -> dict[str, Prober[Any]]:
    """A new type of probe is a new file and one line here."""
    return {
        "http": http,
        "tcp": TcpProber(tools),
        "dns": DnsProber(tools),
        "tls": TlsProber(tools),
        "icmp": IcmpProber(tools),
    }


@dataclass(frozen=True, slots=True)
class Reload:
    """Where the configuration came from, and the event that asks to read it again."""

    path: Path | None = None
    requested: asyncio.Event = field(default_factory=asyncio.Event)


def create_app(
    settings: Settings, telemetry: Telemetry, *, version: str, reload: Reload
) -> web.Application:
    authenticated = require_key(service_key(settings), to_read=settings.collector_requires_key)
    app = web.Application(
        middlewares=[observe(telemetry), problems, authenticated],
        # Whoever reads a body decompresses it, within limits: collector/ingest/body.py.
        handler_args={"auto_decompress": False},
    )
    app[keys.SETTINGS] = settings
    app[keys.TELEMETRY] = telemetry
    app[CHECKS] = []
    app.add_routes(ROUTES)
    watching = _watching_ctx(reload, CollectorMeters(telemetry.registry, version))
    app.cleanup_ctx.append(opened_in_order(_telemetry_ctx, _store_ctx, watching))
    return app


@asynccontextmanager
async def _telemetry_ctx(app: web.Application) -> AsyncIterator[None]:
    async with process_metrics(app[keys.TELEMETRY]):
        yield


@asynccontextmanager
async def _store_ctx(app: web.Application) -> AsyncIterator[None]:
    settings = app[keys.SETTINGS]
    place, key = place_of(settings), settings.collector.encryption_key
    archive = settings.collector.archive
    async with open_store(place, app[keys.TELEMETRY], key, archive=archive) as store:
        app[keys.STORE] = store
        app[CHECKS].append(Check(name="store", critical=True, run=_store_check(store)))
        yield


def _store_check(store: Store) -> Callable[[], Awaitable[str]]:
    async def check() -> str:
        try:
            await store.ping()
        except StoreError as error:
            raise CheckFailed(str(error)) from None
        return f"{store.path.name}, {store.size_bytes()} bytes"

    return check


@asynccontextmanager
async def _taking_events(app: web.Application, redis: RedisLink) -> AsyncIterator[None]:
    limits = app[keys.SETTINGS].collector.quota.model_dump()
    meters = IngestMeters(app[keys.TELEMETRY].registry)
    app[keys.API_KEYS] = ApiKeys(redis)
    with open_event_ingest(app[keys.STORE], redis, limits, meters) as app[keys.EVENTS]:
        yield


def _care(settings: CollectorSettings, store: Store) -> dict[str, Coroutine[Any, Any, Never]]:
    """What a file needs, or a lake."""
    if settings.lake is not None:
        return {"lake": keep_maintaining(store, settings.lake)}
    return {
        "checkpoints": store.checkpoints.keep_checkpointing(),
        "compaction": keep_compacting(store),
    }


def _watching_ctx(reload: Reload, meters: CollectorMeters) -> Context:
    @asynccontextmanager
    async def context(app: web.Application) -> AsyncIterator[None]:
        settings, store, telemetry = app[keys.SETTINGS], app[keys.STORE], app[keys.TELEMETRY]
        snapshot = app[keys.SNAPSHOT] = Snapshot()
        recorder = Recorder(store, snapshot, meters)
        uplink = Uplink(settings.collector.connectivity)
        telemetry.registry.register(
            SnapshotCollector(snapshot, store_bytes=store.size_bytes, uplink=lambda: uplink.is_up)
        )
        async with (
            open_redis(settings) as redis,
            _taking_events(app, redis),
            open_tools() as tools,
            open_http_prober(tools) as http,
            asyncio.TaskGroup() as group,
            AsyncExitStack() as loops,
        ):
            app[CHECKS].append(Check(name="redis", critical=False, run=redis.check))
            runner = Runner(probers(tools, http), uplink, telemetry.tracer, recorder.pending)
            watch = Watch(runner, recorder, snapshot, meters)
            await watch.start(group, settings)
            interval = settings.collector.host_interval_seconds
            retention = settings.collector.retention
            for name, loop in {
                "flush": recorder.keep_flushing(),
                "reload": watch.keep_reloading(reload.requested, reload.path, settings),
                "platform": platform.keep_reading(redis.client, store, snapshot),
                "host": host.keep_sampling(store, snapshot, interval),
                "roll-ups": keep_rolling(store),
                "retention": keep_retiring(store, retention, settings.collector.archive),
                **_care(settings.collector, store),
            }.items():
                await loops.enter_async_context(background(loop, name=name))
            yield
            watch.stop()
        await recorder.flush()

    return context
