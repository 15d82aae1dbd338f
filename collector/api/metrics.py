"""`GET /metrics`, rendered off the event loop."""

import asyncio
import gzip

from aiohttp import web

from collector import keys
from collector.signals.exposition import render

GZIP_LEVEL = 1


async def metrics(request: web.Request) -> web.Response:
    """Prometheus text or OpenMetrics by `Accept`, gzip by `Accept-Encoding`."""
    wants_gzip = "gzip" in request.headers.get("Accept-Encoding", "")
    body, content_type = await asyncio.to_thread(
        _render, request, request.headers.get("Accept", ""), wants_gzip
    )
    headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
    if wants_gzip:
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, headers=headers)


def _render(request: web.Request, accept: str, wants_gzip: bool) -> tuple[bytes, str]:
    body, content_type = render(request.app[keys.TELEMETRY].registry, accept)
    return (gzip.compress(body, GZIP_LEVEL) if wants_gzip else body), content_type


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
