"""Our own traces and timings: Prometheus histograms always, OpenTelemetry when it has an endpoint.

Without an endpoint only OpenTelemetry's API is loaded, whose tracer and meter do nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module

from opentelemetry import metrics, trace
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from common.settings import OtelSettings

# Bucket advice of the OpenTelemetry semantic conventions 1.44 for HTTP and for database clients.
HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
DATABASE_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)


class Timing:
    """One duration, recorded under both names: `http.server.request.duration` and its translation.

    Attributes of a measurement are OpenTelemetry's ("http.route"); the labels are the same with
    underscores. A missing attribute becomes an empty label, which Prometheus reads as none.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        meter: metrics.Meter,
        name: str,
        description: str,
        *,
        attributes: tuple[str, ...],
        buckets: tuple[float, ...],
    ) -> None:
        self._attributes = attributes
        self._prometheus = Histogram(
            name.replace(".", "_") + "_seconds",
            description,
            [attribute.replace(".", "_") for attribute in attributes],
            registry=registry,
            buckets=buckets,
        )
        self._otel = meter.create_histogram(
            name, unit="s", description=description, explicit_bucket_boundaries_advisory=buckets
        )

    def record(self, seconds: float, attributes: Mapping[str, str | int]) -> None:
        """Count one operation; a sampled span in progress becomes the bucket's exemplar."""
        context = trace.get_current_span().get_span_context()
        exemplar = None
        if context.trace_flags.sampled:
            exemplar = {
                "trace_id": trace.format_trace_id(context.trace_id),
                "span_id": trace.format_span_id(context.span_id),
            }
        labels = [str(attributes.get(attribute, "")) for attribute in self._attributes]
        self._prometheus.labels(*labels).observe(seconds, exemplar)
        self._otel.record(seconds, attributes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """What a process measures itself with; `enabled` is true when spans go somewhere."""

    enabled: bool
    registry: CollectorRegistry
    tracer: trace.Tracer
    http_server: Timing
    http_client: Timing
    database: Timing
    shut_down: Callable[[], None]


def start(settings: OtelSettings, *, service: str, version: str, environment: str) -> Telemetry:
    """Telemetry for this process; call `shut_down` at its end so that nothing is left unsent."""
    tracers: trace.TracerProvider = trace.NoOpTracerProvider()
    meters: metrics.MeterProvider = metrics.NoOpMeterProvider()
    shut_down: Callable[[], None] = _nothing
    if settings.endpoint:
        # By name: the exporter costs half a second to import, and most runs have no endpoint.
        exporter = import_module("common.otlp")
        tracers, meters, shut_down = exporter.providers(
            settings, service=service, version=version, environment=environment
        )
    registry = CollectorRegistry()
    meter = meters.get_meter("dhgate-monitor", version)
    return Telemetry(
        enabled=bool(settings.endpoint),
        registry=registry,
        tracer=tracers.get_tracer("dhgate-monitor", version),
        http_server=Timing(
            registry,
            meter,
            "http.server.request.duration",
            "Duration of HTTP requests that we answered.",
            attributes=("http.request.method", "http.route", "http.response.status_code"),
            buckets=HTTP_BUCKETS,
        ),
        http_client=Timing(
            registry,
            meter,
            "http.client.request.duration",
            "Duration of HTTP requests that we made.",
            attributes=(
                "http.request.method",
                "server.address",
                "server.port",
                "http.response.status_code",
                "error.type",
            ),
            buckets=HTTP_BUCKETS,
        ),
        database=Timing(
            registry,
            meter,
            "db.client.operation.duration",
            "Duration of database operations.",
            attributes=("db.system.name", "db.operation.name", "db.collection.name", "error.type"),
            buckets=DATABASE_BUCKETS,
        ),
        shut_down=shut_down,
    )


@asynccontextmanager
async def process_metrics(telemetry: Telemetry) -> AsyncIterator[None]:
    """Show this process's own metrics for as long as it runs; send what is left at its end."""
    ProcessCollector(registry=telemetry.registry)
    PlatformCollector(registry=telemetry.registry)
    GCCollector(registry=telemetry.registry)
    try:
        yield
    finally:
        await asyncio.to_thread(telemetry.shut_down)


def _nothing() -> None:
    """There is nothing to flush when nothing is exported."""
