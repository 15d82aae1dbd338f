"""`GET /metrics` of the web app."""

from aiohttp import web

from common.exposition import metrics_response
from web import keys


async def metrics(request: web.Request) -> web.Response:
    return await metrics_response(request, request.config_dict[keys.TELEMETRY].registry)
