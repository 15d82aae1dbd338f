"""The outermost middleware: request id, span, duration and one log line for every request."""

import re
import secrets
import time
from contextlib import AbstractContextManager, nullcontext
from itertools import count

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry import propagate, trace

from common.logs import request_id
from common.telemetry import Telemetry

REQUEST_ID = "X-Request-ID"
SAFE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Asked for by machines, every few seconds or thousands of times a second: their lines would bury
# the others.
QUIET_ROUTES = frozenset({"/metrics", "/healthz", "/readyz", "/api/health", "/v1/events"})

# Unique without asking the kernel for randomness each time, which costs more than the rest.
PROCESS = secrets.token_hex(8)
numbers = count(1)
NO_SPAN = nullcontext(trace.INVALID_SPAN)
log = structlog.get_logger(__name__)


def observe(telemetry: Telemetry) -> Middleware:
    """A middleware that measures under the HTTP semantic conventions."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked = request.headers.get(REQUEST_ID)
        current = asked if asked and SAFE_REQUEST_ID.fullmatch(asked) else new_request_id()
        token = request_id.set(current)
        try:
            with span_of(request) as span:
                return await _measured(telemetry, request, handler, span)
        finally:
            request_id.reset(token)

    def span_of(request: web.Request) -> AbstractContextManager[trace.Span]:
        if not telemetry.enabled:
            return NO_SPAN
        return telemetry.tracer.start_as_current_span(
            f"{request.method} {route_of(request)}",
            context=propagate.extract(request.headers),
            kind=trace.SpanKind.SERVER,
            record_exception=False,
            set_status_on_exception=False,
        )

    return middleware


def new_request_id() -> str:
    """32 characters that no other request has."""
    return f"{PROCESS}{next(numbers):016x}"


def route_of(request: web.Request) -> str:
    """The route's template, never the raw path: paths are without end."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unmatched"


async def _measured(
    telemetry: Telemetry, request: web.Request, handler: Handler, span: trace.Span
) -> web.StreamResponse:
    started = time.perf_counter()
    status = 500
    try:
        response = await handler(request)
        status = response.status
    except web.HTTPException as answer:
        status = answer.status
        answer.headers.setdefault(REQUEST_ID, request_id.get() or "")
        raise
    else:
        if not response.prepared:
            response.headers.setdefault(REQUEST_ID, request_id.get() or "")
        return response
    finally:
        _record(telemetry, request, span, status, time.perf_counter() - started)


def _record(
    telemetry: Telemetry, request: web.Request, span: trace.Span, status: int, seconds: float
) -> None:
    route = route_of(request)
    attributes: dict[str, str | int] = {
        "http.request.method": request.method if request.method in KNOWN_METHODS else "_OTHER",
        "http.route": route,
        "http.response.status_code": status,
        "url.scheme": request.scheme,
    }
    if status >= 500:
        attributes["error.type"] = str(status)
        span.set_status(trace.StatusCode.ERROR)
    telemetry.http_server.record(seconds, attributes)
    span.set_attributes({**attributes, "url.path": request.path})
    level = "debug" if route in QUIET_ROUTES and status < 500 else "info"
    getattr(log, level)(
        "request",
        method=request.method,
        route=route,
        status=status,
        duration_ms=round(seconds * 1000, 3),
        peer=request.remote,
    )
