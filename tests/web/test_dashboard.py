"""The dashboard shows what is known, and why the rest is not."""

import asyncio
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from common.overview import Incident, Overview, TargetState, Unit
from common.settings import OtelSettings
from tests.servers.process import program
from tests.servers.web import Site, StandInCollector, make_overview, make_settings, reading
from tests.web.conftest import StartSite
from web.overview.cards import cards
from web.overview.figures import spelled, window

HOSTILE = '<script>alert("x")</script>'
NOW = datetime.now(UTC)


async def page(site: Site, path: str = "/admin/dashboard") -> str:
    await site.sign_in()
    answer = await site.get(path)
    assert answer.status == 200
    return await answer.text()


def card(html: str, key: str) -> str:
    """The markup of one card."""
    return html.partition(f'id="card-{key}"')[2].partition("</article>")[0]


async def test_every_card_shows_its_value_window_and_time(
    site: Site, collector: StandInCollector
) -> None:
    measured_at = datetime.now(UTC) - timedelta(seconds=125)
    collector.overview = make_overview(
        uptime=reading(0.9996, measured_at=measured_at),
        response_time=reading(0.182, "seconds", window_seconds=3600.0),
        users=reading(12_345, "count", window_seconds=None),
        cpu=reading(0.425, window_seconds=None),
    )

    html = await page(site)

    uptime = card(html, "uptime")
    assert '<span class="number">99.96</span> <span class="unit">%</span>' in uptime
    assert "last 24 hours" in uptime
    assert f'<time datetime="{measured_at.isoformat()}">' in uptime
    assert f"{measured_at:%Y-%m-%d %H:%M:%S} UTC</time>" in uptime
    assert '<span class="age">2 min ago</span>' in uptime
    assert '<span class="number">182</span> <span class="unit">ms</span>' in card(
        html, "response_time"
    )
    assert '<span class="number">12,345</span>' in card(html, "users")
    assert 'value="0.425"' in card(html, "cpu")
    assert html.count('<article class="card"') == 7


async def test_a_number_that_is_not_known_says_why(site: Site, collector: StandInCollector) -> None:
    collector.overview = make_overview(
        disk=reading(None, measured_at=None, reason="this machine does not report it")
    )

    disk = card(await page(site), "disk")

    assert '<span class="number">' not in disk
    assert "this machine does not report it" in disk


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"status": 503}, "the collector answered with status 503"),
        ({"status": 401}, "the collector answered with status 401"),
        ({"body": b"{"}, "the collector gave an answer that cannot be read"),
        ({"body": b'{"uptime": 1}'}, "the collector gave an answer that cannot be read"),
        ({"hangs": True}, "the collector gave no answer within 2 s"),
    ],
)
async def test_without_the_collector_every_card_says_why(
    site: Site, collector: StandInCollector, fault: dict[str, Any], reason: str
) -> None:
    for name, value in fault.items():
        setattr(collector, name, value)

    html = await page(site)

    assert html.count('<article class="card unknown"') == 7
    assert html.count(reason) == 7
    assert html.count("Not known while the collector is away.") == 2


async def test_a_collector_that_is_not_there_cannot_be_reached(
    start_site: StartSite, tmp_path: Path, valkey: str
) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        site = await start_site(make_settings(tmp_path, valkey, collector_url=nobody))

        html = await page(site)

    assert html.count("the collector cannot be reached") == 7
    assert f"The collector at {nobody} cannot be reached." in html


async def test_the_trace_goes_on_in_the_collector(
    start_site: StartSite,
    tmp_path: Path,
    valkey: str,
    web_settings: dict[str, Any],
    collector: StandInCollector,
) -> None:
    """The stand-in takes the exported spans, too."""
    settings = make_settings(tmp_path, valkey, **web_settings)
    endpoint = {"endpoint": web_settings["collector_url"]}
    settings = settings.model_copy(update={"otel": OtelSettings.model_validate(endpoint)})
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    site = await start_site(settings)
    await site.sign_in()

    await site.get("/admin/dashboard", traceparent=f"00-{trace_id}-b7ad6b7169203331-01")

    parents = [headers.get("traceparent", "") for headers in collector.seen]
    assert any(parent.split("-")[1:2] == [trace_id] for parent in parents)


async def test_the_json_is_the_collectors(site: Site, collector: StandInCollector) -> None:
    await site.sign_in()

    answer = await site.get("/admin/api/dashboard/metrics")
    collector.status = 500
    away = await site.get("/admin/api/dashboard/metrics")

    assert msgspec.json.decode(await answer.read(), type=Overview) == collector.overview
    assert (away.status, away.content_type) == (503, "application/problem+json")


async def test_targets_and_incidents_are_listed_and_what_they_say_is_escaped(
    site: Site, collector: StandInCollector
) -> None:
    target = TargetState(
        name=HOSTILE,
        target=HOSTILE,
        type="http",
        region=HOSTILE,
        critical=True,
        state="down",
        last_run_at=NOW,
        duration_seconds=0.0123,
        error=HOSTILE,
    )
    incident = Incident(
        id="1",
        name=HOSTILE,
        target=HOSTILE,
        severity="critical",
        cause=HOSTILE,
        detail=HOSTILE,
        opened_at=NOW - timedelta(hours=2),
        closed_at=None,
        duration_seconds=7200,
    )
    unknown = reading(None, reason=HOSTILE)
    collector.overview = make_overview(targets=[target], incidents=[incident], cpu=unknown)

    html = await page(site)

    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 9
    assert "12 ms" in html
    assert "2 hours" in html


async def test_empty_lists_say_so(site: Site) -> None:
    html = await page(site)

    assert "None. An incident opens when" in html
    assert "None is configured. Add a <code>[[probe]]</code>" in html


async def test_the_page_refreshes_by_itself_until_it_is_told_not_to(site: Site) -> None:
    refreshing = await page(site)
    still = await page(site, "/admin/dashboard?refresh=off")

    assert (
        '<meta http-equiv="refresh" content="30;url=/admin/dashboard?refresh=auto">' in refreshing
    )
    assert "refreshes by itself every 30 s" in refreshing
    assert "http-equiv" not in still


async def test_readiness_does_not_need_the_collector(
    site: Site, collector: StandInCollector
) -> None:
    well = await (await site.get("/readyz")).json()
    collector.status = 500
    ill = await site.get("/readyz")

    assert {name: check["critical"] for name, check in well["checks"].items()} == {
        "users": True,
        "redis": True,
        "collector": False,
    }
    assert well["status"] == "ok"
    assert (ill.status, (await ill.json())["status"]) == (200, "degraded")


async def test_our_metrics_are_as_prometheus_wants_them(site: Site) -> None:
    await page(site)

    text = await (await site.get("/metrics")).read()
    promtool = await asyncio.create_subprocess_exec(
        program("promtool"),
        "check",
        "metrics",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await promtool.communicate(text)

    assert (promtool.returncode, said) == (0, b"")
    for name in (
        b'http_server_request_duration_seconds_count{http_request_method="POST"',
        b'http_client_request_duration_seconds_count{error_type="",http_request_method="GET"',
        b'db_operation_name="SELECT",db_system_name="sqlite"',
        b"process_resident_memory_bytes",
    ):
        assert name in text


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (1.0, "ratio", "100 %"),
        (0.99996, "ratio", "99.99 %"),
        (0.9996, "ratio", "99.96 %"),
        (0.5, "ratio", "50 %"),
        (0.123, "ratio", "12.3 %"),
        (0.00001, "ratio", "0.01 %"),
        (0.0, "ratio", "0 %"),
        (0.0042, "seconds", "4.2 ms"),
        (0.182, "seconds", "182 ms"),
        (1.5, "seconds", "1.50 s"),
        (12, "count", "12"),
    ],
)
def test_values_are_spelled_with_the_digits_that_matter(
    value: float, unit: Unit, shown: str
) -> None:
    assert " ".join(spelled(value, unit)).strip() == shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "at one moment"),
        (0, "one measurement"),
        (59.2, "last 59 seconds"),
        (59.8, "last 1 minute"),
        (3541, "last 59 minutes"),
        (86_385, "last 24 hours"),
        (172_800, "last 2 days"),
    ],
)
def test_a_window_is_told_in_its_largest_unit(seconds: float | None, text: str) -> None:
    assert window(seconds) == text


def test_a_value_of_unknown_time_claims_none() -> None:
    [first, *_] = cards(make_overview(uptime=reading(1.0, measured_at=None)), NOW)

    assert first.measured is not None
    assert (first.measured.at, first.measured.age) == (None, "")
