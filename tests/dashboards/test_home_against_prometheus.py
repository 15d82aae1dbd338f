"""Every query of every panel has data when a real Prometheus scrapes a real collector."""

import asyncio
import json
import subprocess
from typing import Any

from tests.servers.eventually import eventually
from tests.servers.stack import DHMON, Stack


async def check(stack: Stack) -> tuple[int, dict[str, Any]]:
    """The exit code and the report of `dhmon dashboards check`."""
    command = [str(DHMON), "dashboards", "check", "--json", "--prometheus", stack.prometheus]
    answer = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False
    )
    report: dict[str, Any] = json.loads(answer.stdout)
    return answer.returncode, report


async def test_every_panel_of_home_has_data(stack: Stack) -> None:
    code, report = await eventually(lambda: check(stack), lambda outcome: outcome[0] == 0)

    assert [query for query in report["queries"] if query["problem"]] == []
    assert report["ok"]
    assert code == 0
    assert len(report["queries"]) >= 25
    assert all(query["series"] >= 1 for query in report["queries"])


async def test_the_home_of_the_collector_names_its_targets(stack: Stack) -> None:
    _, report = await eventually(lambda: check(stack), lambda outcome: outcome[0] == 0)

    series = {query["panel"]: query["series"] for query in report["queries"]}
    assert series["State of every target"] == 3
    assert series["Probe duration"] == 3
    assert series["HTTP phases"] == 5
    assert series["Certificate days left"] == 1
