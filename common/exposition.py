"""`GET /metrics` of a registry, rendered off the event loop."""

import asyncio
import gzip

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

GZIP_LEVEL = 1


async def metrics_response(request: web.Request, registry: CollectorRegistry) -> web.Response:
    """Prometheus text or OpenMetrics by `Accept`, gzip by `Accept-Encoding`."""
    accept = request.headers.get("Accept", "")
    wants_gzip = "gzip" in request.headers.get("Accept-Encoding", "")
    body, content_type = await asyncio.to_thread(_render, registry, accept, wants_gzip)
    headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
    if wants_gzip:
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, headers=headers)


def _render(registry: CollectorRegistry, accept: str, wants_gzip: bool) -> tuple[bytes, str]:
    encode, content_type = choose_encoder(accept)
    body = encode(registry)
    return (gzip.compress(body, GZIP_LEVEL) if wants_gzip else body), content_type
