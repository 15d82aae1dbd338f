"""`POST /v1/events`: clicks and conversions."""

from aiohttp import web

from collector import keys


async def events(request: web.Request) -> web.Response:
    return await request.app[keys.EVENTS].post(request, request[keys.CALLER])
