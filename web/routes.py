"""The web app's whole HTTP surface on one screen."""

from aiohttp import web

from common.exposition import metrics_response
from common.health import healthz, readyz
from web import keys
from web.auth.handlers import login, login_page, logout, root
from web.overview.handlers import dashboard, overview_json
from web.static_files import serve


async def metrics(request: web.Request) -> web.Response:
    return await metrics_response(request, request.app[keys.TELEMETRY].registry)


PUBLIC_ROUTES = (
    web.get("/", root),
    web.get("/login", login_page),
    web.post("/login", login),
    web.post("/logout", logout),
    web.get("/api/health", healthz),
    web.get("/healthz", healthz),
    web.get("/readyz", readyz),
    web.get("/metrics", metrics),
    web.get("/static/{name}", serve),
)
# For people who are signed in: `web.auth.guard` keeps everybody else out of what is not above.
PERSONAL_ROUTES = (
    web.get("/admin/dashboard", dashboard),
    web.get("/admin/api/dashboard/metrics", overview_json),
)
PUBLIC_PATHS = frozenset(route.path for route in PUBLIC_ROUTES)
