"""The web app's whole HTTP surface on one screen."""

from aiohttp import web

from common.health import healthz, readyz
from web.auth.guard import signed_in
from web.auth.handlers import login, login_page, logout, root
from web.metrics import metrics as prometheus_metrics
from web.overview.handlers import dashboard, metrics
from web.static_files import StaticFiles


def routes(static: StaticFiles) -> list[web.RouteDef]:
    return [
        web.get("/", root),
        web.get("/login", login_page),
        web.post("/login", login),
        web.post("/logout", logout),
        web.get("/admin/dashboard", signed_in(dashboard)),
        web.get("/admin/api/dashboard/metrics", signed_in(metrics)),
        web.get("/api/health", healthz),
        web.get("/healthz", healthz),
        web.get("/readyz", readyz),
        web.get("/metrics", prometheus_metrics),
        web.get("/static/{name}", static.serve),
    ]
