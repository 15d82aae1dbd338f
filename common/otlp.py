"""OpenTelemetry's SDK with OTLP/HTTP export; imported only when an endpoint is configured."""

import uuid
from collections.abc import Callable

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from common.settings import OtelSettings

# Retries included: a receiver that is away must not hold up our own stop.
EXPORT_SECONDS = 2.0


def providers(
    settings: OtelSettings, *, service: str, version: str, environment: str
) -> tuple[TracerProvider, MeterProvider, Callable[[], None]]:
    """Providers that export to `settings.endpoint`, and the function that flushes and ends them."""
    resource = Resource.create(
        {
            "service.name": f"dhmon-{service}",
            "service.namespace": "dhgate-monitor",
            "service.version": version,
            "service.instance.id": str(uuid.uuid4()),
            "deployment.environment.name": environment,
        }
    )
    base = settings.endpoint.rstrip("/")
    tracers = TracerProvider(
        resource=resource,
        sampler=ParentBased(TraceIdRatioBased(settings.sample_ratio)),
        shutdown_on_exit=False,
    )
    tracers.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=EXPORT_SECONDS))
    )
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(endpoint=f"{base}/v1/metrics", timeout=EXPORT_SECONDS)
    )
    meters = MeterProvider(resource=resource, metric_readers=[reader], shutdown_on_exit=False)

    def shut_down() -> None:
        tracers.shutdown()
        meters.shutdown()

    return tracers, meters, shut_down
