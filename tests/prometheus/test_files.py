"""The committed files of Prometheus and Alertmanager, judged by their own tools."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.servers.process import program

ROOT = Path(__file__).parents[2]
FILES = ROOT / "prometheus"
ALERTMANAGER = FILES / "alertmanager.yml"
RULE_FILES = sorted((FILES / "rules").glob("*.yml"))
RULE_TESTS = sorted((FILES / "tests").glob("*.yml"))
RUNBOOKS = ROOT / "docs/runbooks"
EXAMPLES = re.findall(
    r"^```yaml\n(.*?)^```", (ROOT / "docs/alerting.md").read_text(encoding="utf-8"), re.M | re.S
)


def load(path: Path) -> Any:
    return YAML(typ="safe").load(path)


ALERTS: list[dict[str, Any]] = [
    rule for path in RULE_FILES for group in load(path)["groups"] for rule in group["rules"]
]

every_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))


def says(tool: str, *arguments: str | Path) -> str:
    """What `tool` prints; it must succeed."""
    answer = subprocess.run(
        [program(tool), *arguments], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def test_prometheus_accepts_its_configuration_and_finds_the_rules() -> None:
    printed = says("promtool", "check", "config", FILES / "prometheus.yml")

    assert f"{len(RULE_FILES)} rule files found" in printed


def test_the_rules_have_nothing_to_complain_about() -> None:
    says("promtool", "check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES)


def test_the_rules_fire_and_stay_silent_as_their_unit_tests_say() -> None:
    says("promtool", "test", "rules", *RULE_TESTS)


def test_every_rule_has_a_unit_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    cases = [
        case
        for path in RULE_TESTS
        for test in load(path)["tests"]
        for case in test["alert_rule_test"]
    ]

    fires = {case["alertname"] for case in cases if case["exp_alerts"]}
    silent = {case["alertname"] for case in cases if not case["exp_alerts"]}
    names = {alert["alert"] for alert in ALERTS}
    assert fires == names
    assert silent == names - {"Watchdog"}


@every_alert
def test_an_alert_says_how_bad_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning", "info", "none"}
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["description"].endswith(".")
    assert alert["annotations"]["runbook_url"] == f"docs/runbooks/{alert['alert']}.md"


@every_alert
def test_an_alert_has_a_page_with_every_section(alert: dict[str, Any]) -> None:
    page = (RUNBOOKS / f"{alert['alert']}.md").read_text(encoding="utf-8")

    assert page.startswith(f"# {alert['alert']}\n")
    assert re.findall(r"^## (.*)$", page, re.M) == ["Meaning", "Impact", "Diagnosis", "Mitigation"]
    assert f"]({alert['alert']}.md)" in (RUNBOOKS / "README.md").read_text(encoding="utf-8")


def test_alertmanager_accepts_its_configuration() -> None:
    assert "2 receivers" in says("amtool", "check-config", ALERTMANAGER)


@pytest.mark.parametrize(
    ("alert", "receiver"),
    [("Watchdog", "heartbeat"), ("TargetDown", "shown-only"), ("CollectorMissing", "shown-only")],
)
def test_only_the_heartbeat_goes_to_the_heartbeat_receiver(alert: str, receiver: str) -> None:
    option = f"--config.file={ALERTMANAGER}"

    printed = says("amtool", "config", "routes", "test", option, f"alertname={alert}")

    assert printed.split() == [receiver]


def test_no_receiver_pretends_to_tell_somebody() -> None:
    """The comment in the file and docs/alerting.md say so: change them with this."""
    assert load(ALERTMANAGER)["receivers"] == [{"name": "shown-only"}, {"name": "heartbeat"}]


@pytest.mark.parametrize("example", EXAMPLES)
def test_alertmanager_accepts_every_example_of_the_documentation(
    example: str, tmp_path: Path
) -> None:
    config = ALERTMANAGER.read_text(encoding="utf-8").partition("\nreceivers:\n")[0]
    file = tmp_path / "alertmanager.yml"
    file.write_text(f"{config}\n{example}", encoding="utf-8")

    assert "2 receivers" in says("amtool", "check-config", file)


def test_the_documentation_has_examples() -> None:
    assert len(EXAMPLES) == 3
