"""What the application carries for its handlers, and each request for its own."""

from aiohttp import web

from collector.ingest.events import EventIngest
from collector.snapshot import Snapshot
from collector.store.store import Store
from common.api_keys import ApiKey, ApiKeys
from common.settings import Settings
from common.telemetry import Telemetry

SETTINGS = web.AppKey("SETTINGS", Settings)
STORE = web.AppKey("STORE", Store)
SNAPSHOT = web.AppKey("SNAPSHOT", Snapshot)
TELEMETRY = web.AppKey("TELEMETRY", Telemetry)
API_KEYS = web.AppKey("API_KEYS", ApiKeys)
EVENTS = web.AppKey("EVENTS", EventIngest)
# Whose request it is; absent where no key is needed.
CALLER = web.RequestKey("CALLER", ApiKey)
