"""What the application carries for its handlers."""

from aiohttp import web

from collector.snapshot import Snapshot
from collector.store.store import Store
from common.settings import Settings
from common.telemetry import Telemetry

SETTINGS = web.AppKey("SETTINGS", Settings)
STORE = web.AppKey("STORE", Store)
SNAPSHOT = web.AppKey("SNAPSHOT", Snapshot)
TELEMETRY = web.AppKey("TELEMETRY", Telemetry)
