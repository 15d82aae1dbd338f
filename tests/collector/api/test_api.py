"""The collector's HTTP surface, with a real store behind it."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector import keys
from collector.app import Reload, create_app
from collector.model.incident import IncidentEvent
from collector.store import reports
from collector.store.batches import incident_events_batch, probe_results_batch
from collector.store.store import Store
from common.service_key import service_key
from common.settings import Settings, load
from common.telemetry import Telemetry
from tests.collector.conftest import NOON, make_probe, make_result

Client = TestClient[web.Request, web.Application]


def make_settings(folder: Path, more: str = "") -> Settings:
    path = folder / "monitor.toml"
    path.write_text(f'[collector]\ndata = "{folder}/data/monitor.duckdb"\n{more}')
    return load(path)


@pytest.fixture
async def client(tmp_path: Path, telemetry: Telemetry) -> AsyncIterator[Client]:
    app = create_app(make_settings(tmp_path), telemetry, version="0", reload=Reload())
    async with TestClient(TestServer(app)) as client:
        yield client


def store_of(client: Client) -> Store:
    assert client.app is not None
    return client.app[keys.STORE]


def event(number: int, kind: Literal["opened", "closed"] = "opened") -> IncidentEvent:
    return IncidentEvent(
        incident_id=f"{number:04}",
        kind=kind,
        at=NOON + timedelta(minutes=number) + timedelta(hours=kind == "closed"),
        name="shop",
        target="http://shop.example/",
        severity="critical",
        cause="status",
        detail="got 503",
    )


async def test_the_overview_of_a_young_installation_says_why_it_knows_nothing(
    client: Client,
) -> None:
    body = await (await client.get("/api/v1/overview")).json()

    for name in ("uptime", "response_time", "error_rate", "users"):
        assert body[name]["value"] is None
        assert body[name]["reason"], name
    assert body["targets"] == []


async def test_the_overview_counts_what_was_stored(client: Client) -> None:
    now = datetime.now(UTC)
    a, b = make_probe("a", critical=True), make_probe("b", critical=True)
    results = [
        make_result("up", probe=a, started_at=now),
        make_result("up", probe=a, started_at=now),
        make_result("up", probe=a, started_at=now),
        make_result("down", probe=a, started_at=now),
        make_result("up", probe=b, started_at=now),
        make_result("down", probe=make_probe("c"), started_at=now),
        make_result("unknown", probe=b, started_at=now),
        make_result("down", probe=b, started_at=now, in_maintenance=True),
        make_result("down", probe=b, started_at=now - timedelta(days=1, minutes=1)),
    ]
    await store_of(client).append(probe_results_batch(results))

    body = await (await client.get("/api/v1/overview")).json()

    # Critical targets only: a was up 3 of 4 times, b once of once.
    assert body["uptime"]["value"] == pytest.approx((0.75 + 1) / 2)
    assert body["response_time"]["value"] == 0.25
    assert body["error_rate"]["value"] == pytest.approx(2 / 6)
    assert body["uptime"]["window_seconds"] == 0.0
    assert body["uptime"]["measured_at"] is not None


async def walk(client: Client, limit: int, state: str = "all") -> list[str]:
    found: list[str] = []
    cursor: str | None = None
    while True:
        parameters = {"limit": str(limit), "state": state} | ({"cursor": cursor} if cursor else {})
        page = await (await client.get("/api/v1/incidents", params=parameters)).json()
        found += [incident["id"] for incident in page["incidents"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
async def test_paging_shows_every_incident_once_newest_first(client: Client, limit: int) -> None:
    await store_of(client).append(incident_events_batch([event(n) for n in range(7)]))

    assert await walk(client, limit) == [f"{n:04}" for n in range(6, -1, -1)]


async def test_incidents_are_filtered_by_state_and_have_a_duration(client: Client) -> None:
    events = [event(1), event(1, "closed"), event(2)]
    await store_of(client).append(incident_events_batch(events))

    assert await walk(client, 10, "open") == ["0002"]
    assert await walk(client, 10, "closed") == ["0001"]
    page = await (await client.get("/api/v1/incidents?state=closed")).json()
    assert page["incidents"][0]["duration_seconds"] == 3600


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=x",
        "limit=%D9%A3",
        "limit=99999999999999999999",
        "state=ajar",
        "cursor=x",
        "cursor=W10=",
        "cursor=%FF",
        "colour=blue",
    ],
)
async def test_a_parameter_that_makes_no_sense_is_named(client: Client, query: str) -> None:
    response = await client.get(f"/api/v1/incidents?{query}")

    assert response.status == 400
    body = await response.json()
    assert response.content_type == "application/problem+json"
    assert f"the parameter {query.split('=')[0]}" in body["detail"]
    assert body["request_id"] == response.headers["X-Request-ID"]


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cursor=st.text(max_size=60))
async def test_no_cursor_makes_the_api_stumble(client: Client, cursor: str) -> None:
    response = await client.get("/api/v1/incidents", params={"cursor": cursor})

    assert response.status in (200, 400)


async def test_what_is_not_there_is_a_problem(client: Client) -> None:
    missing = await client.get("/api/v1/nothing")
    wrong_method = await client.post("/api/v1/overview")

    assert (missing.status, missing.content_type) == (404, "application/problem+json")
    assert (wrong_method.status, wrong_method.headers["Allow"]) == (405, "GET,HEAD")


async def test_readiness_tells_of_the_store_and_of_redis(client: Client) -> None:
    body = await (await client.get("/readyz")).json()

    assert body["checks"]["store"]["status"] == "ok"
    assert body["checks"]["store"]["critical"] is True
    assert body["checks"]["redis"]["critical"] is False


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4"),
        ("application/openmetrics-text;version=1.0.0", "application/openmetrics-text"),
        ("nonsense", "text/plain; version=0.0.4"),
    ],
)
async def test_metrics_come_in_the_format_that_is_asked_for(
    client: Client, accept: str, content_type: str
) -> None:
    response = await client.get("/metrics", headers={"Accept": accept})

    assert response.headers["Content-Type"].startswith(content_type)
    assert "collector_build_info" in await response.text()


async def test_metrics_are_compressed_when_allowed(tmp_path: Path, telemetry: Telemetry) -> None:
    app = create_app(make_settings(tmp_path), telemetry, version="0", reload=Reload())
    async with TestClient(TestServer(app), auto_decompress=False) as client:
        response = await client.get("/metrics", headers={"Accept-Encoding": "gzip"})
        body = await response.read()

    assert response.headers["Content-Encoding"] == "gzip"
    assert b"collector_build_info" in gzip.decompress(body)


async def test_where_a_key_is_required_only_the_service_key_opens_the_api(
    tmp_path: Path, telemetry: Telemetry
) -> None:
    configured = make_settings(tmp_path, "require_key = true\n")
    key = service_key(configured)
    app = create_app(configured, telemetry, version="0", reload=Reload())
    async with TestClient(TestServer(app)) as client:
        for wrong in ("", "Bearer wrong", f"Basic {key}", "Bearer", "Bearer é", key):
            refused = await client.get("/api/v1/overview", headers={"Authorization": wrong})
            assert refused.status == 401, wrong
            assert refused.headers["WWW-Authenticate"] == 'Bearer realm="dhmon"'
            assert key not in await refused.text()
        right = {"Authorization": f"Bearer {key}"}
        accepted = await client.get("/api/v1/overview", headers=right)
        open_to_all = [await client.get(path) for path in ("/metrics", "/healthz", "/readyz", "/")]

    assert accepted.status == 200
    assert {response.status for response in open_to_all} == {200}


@pytest.mark.parametrize("work", ["backup", "verify", "compact"])
async def test_care_of_the_store_is_taken_by_one_at_a_time(
    client: Client, tmp_path: Path, work: str
) -> None:
    bearer = {"Authorization": f"Bearer {service_key(make_settings(tmp_path))}"}
    body = {"folder": str(tmp_path / "backups")} if work == "backup" else None
    address = f"/api/v1/store/{work}"

    async with store_of(client).upkeep:
        refused = await client.post(address, json=body, headers=bearer)
    done = await client.post(address, json=body, headers=bearer)

    assert refused.status == 409
    assert "try again when that has ended" in (await refused.json())["detail"]
    assert done.status == 200
    assert '"failed"' not in await done.text()


async def test_a_client_that_leaves_takes_its_backup_with_it(
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reports, "REPEAT_SECONDS", 0.05)
    bearer = {"Authorization": f"Bearer {service_key(make_settings(tmp_path))}"}
    folder = tmp_path / "backups"
    store = store_of(client)

    async with store.checkpoints.held():
        answer = await client.post(
            "/api/v1/store/backup", json={"folder": str(folder)}, headers=bearer
        )
        await answer.content.readline()
        assert store.upkeep.locked()
        answer.close()
        async with asyncio.timeout(30), store.upkeep:
            pass

    assert not await asyncio.to_thread(folder.exists)
