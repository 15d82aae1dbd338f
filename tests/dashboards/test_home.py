"""The built Home dashboard keeps the rules of grafana/dashboard-linter, and some of ours."""

import json
import re
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from dashboards.build import built
from dashboards.verify import substitute
from tests.servers.process import program
from tests.servers.promql import metric_names, selectors

LINT = Path(__file__).parents[2] / "grafana/dashboards/.lint"
HOME: dict[str, Any] = json.loads(built()["home.json"])
PANELS: list[dict[str, Any]] = [panel for panel in HOME["panels"] if panel["type"] != "row"]
EXPRESSIONS: list[str] = [target["expr"] for panel in PANELS for target in panel["targets"]]
VARIABLES: dict[str, dict[str, Any]] = {
    variable["name"]: variable for variable in HOME["templating"]["list"]
}
DATASOURCE = {"type": "prometheus", "uid": "$datasource"}

every_panel = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
every_expression = pytest.mark.parametrize("expr", EXPRESSIONS)


def asks_about_targets(panel: dict[str, Any]) -> bool:
    return any("$target" in target["expr"] for target in panel["targets"])


def test_it_is_built_the_same_every_time() -> None:
    assert built() == built()


def test_nobody_can_edit_it_in_the_browser() -> None:
    assert HOME["editable"] is False


def test_it_has_a_lasting_address_and_the_classic_schema() -> None:
    assert HOME["uid"] == "dhmon-home"
    assert HOME["schemaVersion"] == 42
    assert HOME["description"]


def test_it_is_gentle_on_prometheus_and_shares_its_crosshair() -> None:
    assert HOME["refresh"] == "1m"
    assert HOME["timezone"] == "browser"
    assert HOME["graphTooltip"] == 1
    assert len(PANELS) <= 30


def test_the_data_source_is_the_first_variable() -> None:
    first = HOME["templating"]["list"][0]

    assert (first["name"], first["type"], first["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    assert first["label"] == "Data source"


@pytest.mark.parametrize("name", ["job", "instance", "target"])
def test_a_variable_takes_several_values_and_follows_the_time_range(name: str) -> None:
    variable = VARIABLES[name]

    assert variable["type"] == "query"
    assert variable["datasource"] == DATASOURCE
    assert variable["label"] == name.title()
    assert variable["multi"]
    assert variable["includeAll"]
    assert variable["allValue"] == ".+"
    assert variable["refresh"] == 2
    assert variable["query"].startswith("label_values(")


def test_every_variable_is_used() -> None:
    used = set(re.findall(r"\$(\w+)", json.dumps(HOME["panels"])))

    assert used - {"__rate_interval", "__range"} == set(VARIABLES)


@every_panel
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]


@every_panel
def test_a_panel_asks_the_chosen_data_source(panel: dict[str, Any]) -> None:
    assert panel["targets"]
    assert panel["datasource"] == DATASOURCE
    assert all(target["datasource"] == DATASOURCE for target in panel["targets"])


@every_panel
def test_a_panel_gives_its_queries_letters_of_their_own(panel: dict[str, Any]) -> None:
    letters = [target["refId"] for target in panel["targets"]]

    assert letters == sorted(set(letters))


@every_expression
def test_every_selector_obeys_the_variables(expr: str) -> None:
    found = selectors(expr)

    assert {selector.metric for selector in found} == metric_names(expr)
    for selector in found:
        assert ("job", "=~", "$job") in selector.matchers
        instance = "$target" if selector.metric.startswith("probe_") else "$instance"
        assert ("instance", "=~", instance) in selector.matchers


@every_expression
def test_counters_are_asked_for_their_rate_over_the_rate_interval(expr: str) -> None:
    rated = re.findall(r"rate\((\w+)\{[^}]*\}\[\$__rate_interval\]\)", expr)
    counters = {name for name in metric_names(expr) if name.endswith(("_total", "_bucket"))}

    assert set(rated) == counters
    assert expr.count("rate(") == len(rated)


def test_prometheus_can_parse_every_expression(tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": substitute(expr)}
        for number, expr in enumerate(EXPRESSIONS)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))

    answer = subprocess.run(
        [program("promtool"), "check", "rules", file], capture_output=True, text=True, check=False
    )

    assert answer.returncode == 0, answer.stderr
    assert f"{len(EXPRESSIONS)} rules found" in answer.stdout


def test_no_panel_lies_over_another() -> None:
    places = [panel["gridPos"] for panel in HOME["panels"]]

    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y


def test_every_panel_has_a_number_of_its_own() -> None:
    numbers = [panel["id"] for panel in HOME["panels"]]

    assert numbers == list(range(1, len(numbers) + 1))


def test_the_linter_is_told_of_every_panel_about_targets_and_of_no_other() -> None:
    excluded = YAML(typ="safe").load(LINT)["exclusions"]

    entries = [
        (entry["dashboard"], entry["panel"])
        for entry in excluded["target-instance-rule"]["entries"]
    ]
    assert list(excluded) == ["target-instance-rule"]
    assert entries == [("Home", panel["title"]) for panel in PANELS if asks_about_targets(panel)]
