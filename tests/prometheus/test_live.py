"""The committed configuration at work: Prometheus scrapes a collector and tells Alertmanager."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.servers.eventually import eventually
from tests.servers.process import program
from tests.servers.stack import Stack


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        yield session


async def query(client: aiohttp.ClientSession, stack: Stack, expr: str) -> list[dict[str, Any]]:
    async with client.get(f"{stack.prometheus}/api/v1/query", params={"query": expr}) as response:
        answer = await response.json()
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


async def alerts(client: aiohttp.ClientSession, stack: Stack) -> list[dict[str, Any]]:
    async with client.get(f"{stack.prometheus}/api/v1/alerts") as response:
        answer = await response.json()
    found: list[dict[str, Any]] = answer["data"]["alerts"]
    return found


def firing(found: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """(alert, target's name) of what fires."""
    return {
        (alert["labels"]["alertname"], alert["labels"].get("name", ""))
        for alert in found
        if alert["state"] == "firing"
    }


async def test_prometheus_answers_probe_success_for_every_target(
    client: aiohttp.ClientSession, stack: Stack
) -> None:
    found = await eventually(lambda: query(client, stack, "probe_success"), lambda r: len(r) == 3)

    values = {series["metric"]["name"]: series["value"][1] for series in found}
    assert values == {"shop": "1", "closed": "0", "planned": "0"}


async def test_a_probe_keeps_its_own_instance_and_says_where_it_looked_from(
    client: aiohttp.ClientSession, stack: Stack
) -> None:
    ask = 'probe_success{name="shop"}'

    found = await eventually(lambda: query(client, stack, ask), bool)

    assert found[0]["metric"] == {
        "__name__": "probe_success",
        "job": "collector",
        "instance": stack.shop,
        "name": "shop",
        "module": "http",
        "region": "test",
    }


async def test_what_the_collector_says_of_itself_carries_its_own_address(
    client: aiohttp.ClientSession, stack: Stack
) -> None:
    found = await eventually(lambda: query(client, stack, "collector_build_info"), bool)

    assert f"http://{found[0]['metric']['instance']}" == stack.collector


async def test_target_down_fires_for_what_is_down_and_not_in_maintenance(
    client: aiohttp.ClientSession, stack: Stack
) -> None:
    expected = {("TargetDown", "closed"), ("Watchdog", "")}

    found = await eventually(lambda: alerts(client, stack), lambda a: firing(a) >= expected)

    assert firing(found) == expected
    assert {alert["labels"].get("name") for alert in found} == {"closed", None}
    down = next(alert for alert in found if alert["labels"]["alertname"] == "TargetDown")
    assert down["annotations"]["summary"] == "closed is down"
    assert down["labels"]["instance"] == stack.closed


async def test_alertmanager_is_told_and_routes_the_heartbeat_apart(
    client: aiohttp.ClientSession, stack: Stack
) -> None:
    async def look() -> dict[str, list[str]]:
        async with client.get(f"{stack.alertmanager}/api/v2/alerts") as response:
            told = await response.json()
        return {
            alert["labels"]["alertname"]: [receiver["name"] for receiver in alert["receivers"]]
            for alert in told
        }

    found = await eventually(look, lambda told: len(told) == 2)

    assert found == {"TargetDown": ["shown-only"], "Watchdog": ["heartbeat"]}


async def test_promtool_has_nothing_to_say_about_the_metrics(
    client: aiohttp.ClientSession, stack: Stack
) -> None:
    headers = {"Accept": "text/plain; version=0.0.4"}
    async with client.get(f"{stack.collector}/metrics", headers=headers) as response:
        exposed = await response.read()

    command = [program("promtool"), "check", "metrics"]
    answer = await asyncio.to_thread(
        subprocess.run, command, input=exposed, capture_output=True, check=False
    )

    assert answer.stdout + answer.stderr == b""
    assert answer.returncode == 0
