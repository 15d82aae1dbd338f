"""`GET /metrics`, and a page that leads there."""

from aiohttp import web

from collector import keys
from common.exposition import metrics_response


async def metrics(request: web.Request) -> web.Response:
    return await metrics_response(request, request.app[keys.TELEMETRY].registry)


async def index(request: web.Request) -> web.Response:
    """A door for people who open the exporter's address in a browser."""
    return web.Response(text=INDEX, content_type="text/html")


INDEX = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>DHgate Monitor collector</title>
<h1>DHgate Monitor collector</h1>
<ul>
<li><a href="/metrics">Metrics</a></li>
<li><a href="/readyz">Readiness</a></li>
<li><a href="/api/v1/overview">Overview</a></li>
<li><a href="/api/v1/incidents">Incidents</a></li>
</ul>
</html>
"""
