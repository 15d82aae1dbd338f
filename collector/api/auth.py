"""Who asks, and whether they may: API keys with scopes, and the service key for everything."""

import hmac
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from collector import keys
from collector.errors import MissingKeyError, MissingScopeError
from common.api_keys import SCOPES, ApiKey, Scope

# A bind address and a proxy protect these; everything else takes a key.
PUBLIC_PATHS = frozenset(
    {"/", "/metrics", "/probe", "/healthz", "/readyz", "/openapi.json", "/api/v1/sd/probe"}
)
PUBLIC_PREFIX = "/go/"
# What is not here is reading.
SCOPE_OF: dict[str, Scope] = {"/v1/events": "ingest", "/api/v1/sql": "sql"}
# The web app's own: it has every scope, no owner and no quota.
SERVICE = ApiKey(
    id="service",
    name="service",
    scopes=frozenset(SCOPES),
    user=None,
    tier="unlimited",
    created_at=datetime.fromtimestamp(0, UTC),
)


def require_key(service_key: str, *, to_read: bool) -> Middleware:
    """A middleware that sets `keys.CALLER`; `to_read`: reading takes a key too."""
    expected = service_key.encode()

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path
        scope = SCOPE_OF.get(path, "read")
        is_public = path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIX)
        if not is_public and (to_read or scope != "read"):
            request[keys.CALLER] = await _caller(request, expected, scope)
        return await handler(request)

    return middleware


async def _caller(request: web.Request, service_key: bytes, scope: Scope) -> ApiKey:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise _missing("needs a key that you did not send", scope)
    if hmac.compare_digest(given.encode("utf-8", "surrogateescape"), service_key):
        return SERVICE
    key = await request.app[keys.API_KEYS].identify(given)
    if key is None:
        raise _missing("needs another key: the one you sent is unknown or revoked", scope)
    if scope not in key.scopes:
        raise MissingScopeError(
            "this address",
            why=f"needs a key with the scope {scope}, and yours has {_listed(key.scopes)}",
            remedy=f"ask for one: dhmon key create --name NAME --scope {scope}",
        )
    return key


def _missing(why: str, scope: Scope) -> MissingKeyError:
    return MissingKeyError(
        "this address", why=why, remedy=f"send Authorization: Bearer with a key for {scope}"
    )


def _listed(scopes: frozenset[Scope]) -> str:
    return ", ".join(sorted(scopes)) or "none"
