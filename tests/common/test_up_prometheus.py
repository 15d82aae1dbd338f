"""Prometheus beside us: its configuration is read by the real promtool."""

import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import structlog

from common.settings import CollectorSettings, Settings, UpSettings, WebSettings
from common.up.prometheus import SOURCE, prometheus_program, render
from tests.servers.ports import free_ports
from tests.servers.process import program


def settings(data: Path, *, prometheus: int = 29090) -> Settings:
    return Settings(
        collector=CollectorSettings(listen="0.0.0.0:28090", data=data / "monitor.duckdb"),
        web=WebSettings(listen="[::]:28080"),
        up=UpSettings(prometheus=f"127.0.0.1:{prometheus}"),
    )


@pytest.fixture
def no_alertmanager(monkeypatch: pytest.MonkeyPatch) -> None:
    [port] = free_ports(1)
    monkeypatch.setattr("common.up.prometheus.ALERTMANAGER", f"127.0.0.1:{port}")


def promtool(config: Path) -> str:
    done = subprocess.run(
        [program("promtool"), "check", "config", config],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout


@pytest.mark.usefixtures("no_alertmanager")
def test_the_committed_configuration_is_made_to_fit_this_machine(tmp_path: Path) -> None:
    text = render(settings(tmp_path), SOURCE)

    (tmp_path / "prometheus.yml").write_text(text)
    assert "1 rule files found" in promtool(tmp_path / "prometheus.yml")
    assert 'targets: ["127.0.0.1:28090"]' in text
    assert 'targets: ["[::1]:28080"]' in text
    assert 'targets: ["127.0.0.1:29090"]' in text
    assert "- targets: []" in text


def test_alerts_go_to_an_alertmanager_that_runs_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setattr("common.up.prometheus.ALERTMANAGER", address)

        assert f'- targets: ["{address}"]' in render(settings(tmp_path), SOURCE)


@pytest.mark.usefixtures("no_alertmanager")
def test_rules_are_found_in_a_folder_with_an_awkward_name(tmp_path: Path) -> None:
    source = tmp_path / 'my [old] "shop"'
    shutil.copytree(SOURCE, source)

    (tmp_path / "prometheus.yml").write_text(render(settings(tmp_path), source))

    assert "1 rule files found" in promtool(tmp_path / "prometheus.yml")


@pytest.mark.usefixtures("no_alertmanager")
def test_it_runs_on_the_data_folder(tmp_path: Path) -> None:
    [port] = free_ports(1)

    found = prometheus_program(settings(tmp_path, prometheus=port))

    assert found is not None
    assert found.command[0] == shutil.which("prometheus")
    assert f"--config.file={tmp_path}/prometheus/prometheus.yml" in found.command
    assert f"--storage.tsdb.path={tmp_path}/prometheus/tsdb" in found.command
    assert f"--web.listen-address=127.0.0.1:{port}" in found.command
    assert (tmp_path / "prometheus" / "prometheus.yml").is_file()


def test_it_is_left_out_when_it_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with structlog.testing.capture_logs() as logs:
        found = prometheus_program(settings(tmp_path))

    assert found is None
    assert [(line["event"], line["why"]) for line in logs] == [
        ("no prometheus", "it is not installed")
    ]


def test_it_is_left_out_when_its_configuration_is_not_there(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        found = prometheus_program(settings(tmp_path), tmp_path / "nowhere")

    assert found is None
    assert [line["why"] for line in logs] == [f"{tmp_path}/nowhere is missing"]


def test_it_is_left_out_when_its_address_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, structlog.testing.capture_logs() as logs:
        port = taken.getsockname()[1]

        found = prometheus_program(settings(tmp_path, prometheus=port))

    assert found is None
    [line] = logs
    assert line["why"] == f"up.prometheus = 127.0.0.1:{port}: another process listens there already"
    assert line["remedy"] == "stop that process or set up.prometheus to another address"
