"""What the application carries for its handlers, and each request for its own."""

from aiohttp import web

from common.settings import Settings
from common.telemetry import Telemetry
from web.auth.passwords import Passwords
from web.collector_client import CollectorClient
from web.db import Database
from web.models import User
from web.sessions import SessionStorage

SETTINGS = web.AppKey("SETTINGS", Settings)
TELEMETRY = web.AppKey("TELEMETRY", Telemetry)
DATABASE: web.AppKey[Database] = web.AppKey("DATABASE")
SESSIONS = web.AppKey("SESSIONS", SessionStorage)
PASSWORDS = web.AppKey("PASSWORDS", Passwords)
COLLECTOR = web.AppKey("COLLECTOR", CollectorClient)
# The person who asks; on every page that is not public.
USER = web.RequestKey("USER", User)
