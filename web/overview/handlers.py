"""The dashboard: is it up, and how is the machine?"""

from datetime import UTC, datetime

import aiohttp_jinja2
import msgspec
from aiohttp import web

from common.overview import Overview
from web import keys
from web.auth.guard import BY_ITSELF, REFRESH
from web.collector_client import CollectorClient
from web.errors import CollectorError
from web.overview.cards import cards
from web.overview.figures import age, duration, span

REFRESH_SECONDS = 30
STOPPED = "off"


async def dashboard(request: web.Request) -> web.Response:
    """Complete without the collector too: then every card says why it is empty."""
    now = datetime.now(UTC)
    answer = await _asked(request.app[keys.COLLECTOR])
    refreshes = request.query.get(REFRESH) != STOPPED
    page = {
        "user": request[keys.USER],
        "now": now,
        "overview": answer if isinstance(answer, Overview) else None,
        "problem": answer if isinstance(answer, CollectorError) else None,
        "cards": cards(answer, now),
        "age": age,
        "duration": duration,
        "span": span,
        "refresh_seconds": REFRESH_SECONDS if refreshes else None,
        "refresh_address": f"{request.path}?{REFRESH}={BY_ITSELF}",
        "stop_address": f"{request.path}?{REFRESH}={STOPPED}",
    }
    return aiohttp_jinja2.render_template("dashboard.html", request, page)


async def _asked(collector: CollectorClient) -> Overview | CollectorError:
    try:
        return await collector.overview()
    except CollectorError as error:
        return error


async def overview_json(request: web.Request) -> web.Response:
    overview = await request.app[keys.COLLECTOR].overview()
    return web.Response(body=msgspec.json.encode(overview), content_type="application/json")
