"""`dhmon dashboards build|check`, with a real Prometheus that has scraped nothing."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.stack import DHMON, running_prometheus


@pytest.fixture(scope="module")
def empty_prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("prometheus")
    config = directory / "prometheus.yml"
    config.write_text("scrape_configs: []\n", encoding="utf-8")
    with running_prometheus(config, directory) as address:
        yield f"http://{address}"


def dhmon(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [DHMON, "dashboards", *arguments]
    environment = os.environ | variables
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_the_committed_dashboards_are_what_the_code_builds() -> None:
    answer = dhmon("check")

    assert (answer.returncode, answer.stderr) == (0, "")


def test_building_twice_changes_nothing(tmp_path: Path) -> None:
    first = dhmon("build", "--directory", tmp_path)
    text = (tmp_path / "home.json").read_bytes()
    dhmon("build", "--directory", tmp_path)

    assert first.stdout == f"wrote {tmp_path}/home.json\n"
    assert (tmp_path / "home.json").read_bytes() == text
    assert text.endswith(b"}\n")
    assert json.loads(text)["title"] == "Home"


def test_a_file_that_was_edited_by_hand_is_named_with_the_remedy(tmp_path: Path) -> None:
    dhmon("build", "--directory", tmp_path)
    path = tmp_path / "home.json"
    path.write_text(path.read_text("utf-8").replace("Home", "House"), "utf-8")

    answer = dhmon("check", "--directory", tmp_path)

    assert answer.returncode == 1
    assert answer.stderr == (
        f"dhmon: {path}: not what the code builds;"
        " run `dhmon dashboards build` and commit the result\n"
    )


def test_a_missing_file_is_reported_as_json(tmp_path: Path) -> None:
    answer = dhmon("check", "--json", "--directory", tmp_path)

    report = json.loads(answer.stdout)
    assert answer.returncode == 1
    assert report == {"ok": False, "outdated": [str(tmp_path / "home.json")], "queries": []}


def test_every_panel_without_data_is_named(empty_prometheus: str) -> None:
    answer = dhmon("check", "--json", "--prometheus", empty_prometheus)

    report = json.loads(answer.stdout)
    assert answer.returncode == 1
    assert not report["ok"]
    assert {query["problem"] for query in report["queries"]} == {"no data"}
    assert "Home / Targets up" in answer.stderr
    assert f"{len(report['queries'])} of {len(report['queries'])} queries" in answer.stderr


def test_for_people_each_query_is_one_line(empty_prometheus: str) -> None:
    answer = dhmon("check", "--prometheus", empty_prometheus)

    assert "Home / CPU / A: no data\n" in answer.stdout
    assert "as the code builds them" not in answer.stdout


def test_a_server_that_is_no_prometheus_is_one_sentence() -> None:
    answer = dhmon("check", "--prometheus", "http://127.0.0.1:9")

    assert answer.returncode == 1
    assert answer.stderr.startswith("dhmon: Prometheus at http://127.0.0.1:9: does not answer")
    assert "--prometheus" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_without_the_sdk_the_remedy_is_named(tmp_path: Path) -> None:
    hook = "import sys\nsys.modules['grafana_foundation_sdk'] = None\n"
    (tmp_path / "sitecustomize.py").write_text(hook, "utf-8")

    answer = dhmon("check", PYTHONPATH=str(tmp_path))

    assert answer.returncode == 1
    assert answer.stderr == (
        "dhmon: dashboards: the Grafana Foundation SDK is not installed;"
        " run `scripts/setup dev`, or install grafana-foundation-sdk==0.0.21\n"
    )
