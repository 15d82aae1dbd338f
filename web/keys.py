"""What the application carries for its handlers."""

from aiohttp import web

from common.redis import RedisLink
from common.settings import Settings
from common.telemetry import Telemetry
from web.collector_client import CollectorClient
from web.db import Database
from web.passwords import Passwords
from web.sessions import SessionStorage
from web.static_files import StaticFiles

SETTINGS = web.AppKey("SETTINGS", Settings)
TELEMETRY = web.AppKey("TELEMETRY", Telemetry)
DATABASE: web.AppKey[Database] = web.AppKey("DATABASE")
REDIS = web.AppKey("REDIS", RedisLink)
SESSIONS = web.AppKey("SESSIONS", SessionStorage)
PASSWORDS = web.AppKey("PASSWORDS", Passwords)
COLLECTOR = web.AppKey("COLLECTOR", CollectorClient)
STATIC = web.AppKey("STATIC", StaticFiles)
