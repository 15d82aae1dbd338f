"""Who may read: nobody without the service key, unless the configuration opens reading."""

import hmac

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from collector.errors import MissingKeyError

# A bind address and a proxy protect these; everything else takes a key.
PUBLIC_PATHS = frozenset({"/", "/metrics", "/healthz", "/readyz"})


def require_key(key: str) -> Middleware:
    """A middleware that refuses requests without `Authorization: Bearer <key>`."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in PUBLIC_PATHS:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            if scheme != "Bearer" or not hmac.compare_digest(given.encode(), key.encode()):
                raise MissingKeyError(
                    "this address",
                    why="needs a key that you did not send",
                    remedy="send Authorization: Bearer with the service key",
                )
        return await handler(request)

    return middleware
