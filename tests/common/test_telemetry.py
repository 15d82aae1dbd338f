"""Our own traces and metrics arrive at a real OTLP/HTTP receiver, and cost nothing when off."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from common import logs
from common.health import healthz
from common.observe import observe
from common.settings import LogSettings, OtelSettings
from common.telemetry import Telemetry, start

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Receiver:
    """An OTLP/HTTP receiver as the specification describes it: protobuf in, empty answer out."""

    def __init__(self) -> None:
        self.traces: list[ExportTraceServiceRequest] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.app = web.Application()
        self.app.router.add_post("/v1/traces", self.take_traces)
        self.app.router.add_post("/v1/metrics", self.take_metrics)

    async def take_traces(self, request: web.Request) -> web.Response:
        self.traces.append(ExportTraceServiceRequest.FromString(await request.read()))
        return web.Response(content_type="application/x-protobuf")

    async def take_metrics(self, request: web.Request) -> web.Response:
        self.metrics.append(ExportMetricsServiceRequest.FromString(await request.read()))
        return web.Response(content_type="application/x-protobuf")


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    receiver = Receiver()
    async with TestServer(receiver.app) as server:
        yield receiver, str(server.make_url(""))


def observed_app(telemetry: Telemetry) -> web.Application:
    async def fail(request: web.Request) -> web.Response:
        raise web.HTTPServiceUnavailable

    app = web.Application(middlewares=[observe(telemetry)])
    app.add_routes([web.get("/healthz", healthz), web.get("/things/{id}", healthz)])
    app.router.add_get("/fail", fail)
    return app


async def test_a_request_is_a_span_of_the_callers_trace_and_a_duration(
    receiver: tuple[Receiver, str],
) -> None:
    received, endpoint = receiver
    telemetry = start(
        OtelSettings(endpoint=endpoint), service="web", version="1.2", environment="staging"
    )
    async with TestClient(TestServer(observed_app(telemetry))) as client:
        await client.get("/things/7", headers={"traceparent": PARENT})

    await asyncio.to_thread(telemetry.shut_down)

    [resource_spans] = [spans for request in received.traces for spans in request.resource_spans]
    resource = {item.key: item.value.string_value for item in resource_spans.resource.attributes}
    [span] = resource_spans.scope_spans[0].spans
    attributes = {item.key: item.value for item in span.attributes}
    assert resource["service.name"] == "dhmon-web"
    assert resource["deployment.environment.name"] == "staging"
    assert span.trace_id.hex() == PARENT.split("-")[1]
    assert span.parent_span_id.hex() == PARENT.split("-")[2]
    assert span.name == "GET /things/{id}"
    assert attributes["http.route"].string_value == "/things/{id}"
    assert attributes["http.response.status_code"].int_value == 200
    names = {
        metric.name
        for request in received.metrics
        for resource_metrics in request.resource_metrics
        for scope in resource_metrics.scope_metrics
        for metric in scope.metrics
    }
    assert "http.server.request.duration" in names


async def test_a_sampled_request_leaves_its_trace_id_as_an_exemplar(
    receiver: tuple[Receiver, str],
) -> None:
    _, endpoint = receiver
    telemetry = start(OtelSettings(endpoint=endpoint), service="t", version="0", environment="d")
    async with TestClient(TestServer(observed_app(telemetry))) as client:
        await client.get("/things/7", headers={"traceparent": PARENT})

    samples = [
        sample
        for family in telemetry.registry.collect()
        for sample in family.samples
        if sample.exemplar is not None
    ]
    await asyncio.to_thread(telemetry.shut_down)
    assert samples
    assert samples[0].exemplar is not None
    assert samples[0].exemplar.labels["trace_id"] == PARENT.split("-")[1]


async def test_durations_are_labelled_by_route_never_by_path() -> None:
    telemetry = start(OtelSettings(), service="t", version="0", environment="d")
    async with TestClient(TestServer(observed_app(telemetry))) as client:
        await client.get("/things/7")
        await client.get("/things/8")
        await client.get("/nowhere")
        await client.get("/fail")

    def count(route: str, status: str) -> float | None:
        labels = {
            "http_request_method": "GET",
            "http_route": route,
            "http_response_status_code": status,
        }
        return telemetry.registry.get_sample_value(
            "http_server_request_duration_seconds_count", labels
        )

    assert count("/things/{id}", "200") == 2
    assert count("unmatched", "404") == 1
    assert count("/fail", "503") == 1


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("abcdef-123456", True), ("short", False), ("x" * 65, False), ("a b;c" * 3, False)],
)
async def test_a_callers_request_id_is_kept_only_when_it_is_harmless(sent: str, kept: bool) -> None:
    telemetry = start(OtelSettings(), service="t", version="0", environment="d")
    async with TestClient(TestServer(observed_app(telemetry))) as client:
        response = await client.get("/healthz", headers={"X-Request-ID": sent})

    assert (response.headers["X-Request-ID"] == sent) is kept
    assert len(response.headers["X-Request-ID"]) >= 8


async def test_a_log_line_carries_request_and_trace_id(
    receiver: tuple[Receiver, str], capsys: pytest.CaptureFixture[str]
) -> None:
    _, endpoint = receiver
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    telemetry = start(OtelSettings(endpoint=endpoint), service="t", version="0", environment="d")
    try:
        logs.configure(LogSettings(level="info", format="json"), service="web")
        async with TestClient(TestServer(observed_app(telemetry))) as client:
            headers = {"traceparent": PARENT, "X-Request-ID": "my-request-1"}
            await client.get("/things/7", headers=headers)
    finally:
        root.handlers, root.level = handlers, level
        await asyncio.to_thread(telemetry.shut_down)

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    [line] = [line for line in lines if line["message"] == "request"]
    assert line["request_id"] == "my-request-1"
    assert line["trace_id"] == PARENT.split("-")[1]
    assert (line["service"], line["route"], line["status"]) == ("web", "/things/{id}", 200)
    assert line["timestamp"].endswith("Z")


async def test_an_endpoint_that_does_not_answer_harms_nothing() -> None:
    telemetry = start(
        OtelSettings(endpoint="http://127.0.0.1:9"), service="t", version="0", environment="d"
    )
    async with TestClient(TestServer(observed_app(telemetry))) as client:
        response = await client.get("/healthz")

    assert response.status == 200
    assert isinstance(client.session, ClientSession)
    await asyncio.to_thread(telemetry.shut_down)


def test_without_an_endpoint_nothing_of_the_sdk_is_loaded() -> None:
    program = (
        "import sys; from common.settings import OtelSettings; from common.telemetry import start;"
        "start(OtelSettings(), service='t', version='0', environment='d');"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )

    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert outcome.stdout == b"[]\n"
