"""The collector's whole HTTP surface on one screen."""

from aiohttp import web

from collector.api.events import events
from collector.api.incidents import incidents
from collector.api.metrics import index, metrics
from collector.api.overview import overview
from collector.api.samples import samples
from collector.api.sql import sql
from collector.api.store import store_backup, store_compact, store_verify
from common.health import healthz, readyz

ROUTES = (
    web.get("/", index),
    web.get("/metrics", metrics),
    web.get("/healthz", healthz),
    web.get("/readyz", readyz),
    web.post("/v1/events", events),
    web.get("/api/v1/overview", overview),
    web.get("/api/v1/incidents", incidents),
    web.get("/api/v1/samples", samples),
    web.post("/api/v1/sql", sql),
    web.post("/api/v1/store/backup", store_backup),
    web.post("/api/v1/store/verify", store_verify),
    web.post("/api/v1/store/compact", store_compact),
)
