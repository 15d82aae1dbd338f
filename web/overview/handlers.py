"""The dashboard: is it up, and how is the machine?"""

from datetime import UTC, datetime

import aiohttp_jinja2
import msgspec
from aiohttp import web

from common.overview import Overview
from web import keys
from web.auth.guard import USER
from web.collector_client import CollectorError
from web.overview.cards import age, cards, span

TEMPLATE = "overview/templates/dashboard.html"
REFRESH_SECONDS = 30


async def dashboard(request: web.Request) -> web.Response:
    """Complete without the collector too: then every card says so."""
    now = datetime.now(UTC)
    overview: Overview | None = None
    problem = ""
    try:
        overview = await request.config_dict[keys.COLLECTOR].overview()
    except CollectorError as error:
        problem = f"{error.what}: {error.why}"
    page = {
        "user": request[USER],
        "cards": cards(overview, now, problem),
        "overview": overview,
        "problem": problem,
        "now": now,
        "age": age,
        "span": span,
        "refresh_seconds": REFRESH_SECONDS,
    }
    return aiohttp_jinja2.render_template(TEMPLATE, request, page)


async def metrics(request: web.Request) -> web.Response:
    """The overview as JSON."""
    overview = await request.config_dict[keys.COLLECTOR].overview()
    return web.Response(body=msgspec.json.encode(overview), content_type="application/json")
