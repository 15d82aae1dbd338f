"""No rule and no panel asks for a metric that nothing exposes."""

import json
from pathlib import Path
from typing import Any

import aiohttp
from ruamel.yaml import YAML

from tests.servers.eventually import eventually
from tests.servers.promql import metric_names
from tests.servers.stack import Stack

ROOT = Path(__file__).parents[1]
# Made by Prometheus itself, when an alert fires.
BY_PROMETHEUS = {"ALERTS"}


def expressions(node: Any) -> list[str]:
    """Every `expr`, and every query of a variable, anywhere in a file."""
    if isinstance(node, list):
        return [found for item in node for found in expressions(item)]
    if not isinstance(node, dict):
        return []
    own = [node["expr"]] if isinstance(node.get("expr"), str) else []
    if node.get("type") == "query":
        own.append(node["query"].removeprefix("label_values(").rpartition(",")[0])
    return own + [found for item in node.values() for found in expressions(item)]


def asked_for() -> set[str]:
    rules = [YAML(typ="safe").load(path) for path in (ROOT / "prometheus/rules").glob("*.yml")]
    boards = [
        json.loads(path.read_bytes()) for path in (ROOT / "grafana/dashboards").glob("*.json")
    ]
    return {name for expr in expressions(rules + boards) for name in metric_names(expr)}


def test_it_reads_rules_panels_variables_and_annotations() -> None:
    assert asked_for() >= {"probe_success", "collector_store_bytes", "up", "ALERTS"}


async def test_every_metric_asked_for_is_exposed(stack: Stack) -> None:
    async def unknown() -> set[str]:
        url = f"{stack.prometheus}/api/v1/label/__name__/values"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            exposed = set((await response.json())["data"])
        return asked_for() - exposed - BY_PROMETHEUS

    missing = await eventually(unknown, lambda names: not names)

    assert missing == set()
