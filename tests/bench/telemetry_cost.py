"""What OpenTelemetry costs a request while it is off: the calls that then do nothing."""

import asyncio
import statistics
import time

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import SpanKind

from common.health import healthz
from common.settings import OtelSettings
from common.telemetry import start
from tests.bench.figure import Figure, Goal, figure

REQUESTS = 2000
ROUNDS = 5
GOAL = Goal(0.1, of_ratio=True, text="≤ 0.1 of the reference")


def measure() -> list[Figure]:
    calls = [_seconds_of_calls() for _ in range(ROUNDS)]
    requests = [asyncio.run(_seconds_per_request()) for _ in range(ROUNDS)]
    return [
        figure(
            "OpenTelemetry per request, export off",
            statistics.median(calls) * 1e6,
            "µs",
            beside="CPU of an empty request on loopback",
            reference=statistics.median(requests) * 1e6,
            goal=GOAL,
        )
    ]


def _seconds_of_calls() -> float:
    """A span with its attributes and a recorded duration, as `common.observe` makes them."""
    telemetry = start(OtelSettings(), service="bench", version="0", environment="development")
    histogram = NoOpMeterProvider().get_meter("bench").create_histogram("bench")
    attributes = {"http.request.method": "GET", "http.route": "/", "url.scheme": "http"}
    started = time.process_time()
    for _ in range(REQUESTS):
        with telemetry.tracer.start_as_current_span("GET /", kind=SpanKind.SERVER) as span:
            span.set_attributes(attributes)
            histogram.record(0.001, attributes)
    return (time.process_time() - started) / REQUESTS


async def _seconds_per_request() -> float:
    """Client and server together."""
    app = web.Application()
    app.router.add_get("/healthz", healthz)
    async with TestServer(app) as server, ClientSession() as session:
        address = server.make_url("/healthz")
        started = time.process_time()
        for _ in range(REQUESTS):
            async with session.get(address) as response:
                await response.read()
        return (time.process_time() - started) / REQUESTS
