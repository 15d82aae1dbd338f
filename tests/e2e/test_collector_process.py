"""`dhmon collector` as a process: real probes, clear errors, reload, an end without loss."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from collector.store.db import open_database
from collector.store.migrate import Migration, known_migrations, migrate
from tests.servers.ports import free_ports

READY_SECONDS = 60.0
DHMON = [sys.executable, "-c", "from common.cli import main; main()"]


@dataclass
class Collector:
    process: subprocess.Popen[str]
    port: int
    log: Path

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            body: str = answer.read().decode()
        return json.loads(body) if body.startswith("{") else body

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if condition():
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"never happened:\n{self.log.read_text()}")

    def target(self, name: str) -> dict[str, Any]:
        targets = {target["name"]: target for target in self.get("/api/v1/overview")["targets"]}
        found: dict[str, Any] = targets.get(name, {"state": "absent"})
        return found


def write_config(folder: Path, port: int, *probes: str) -> Path:
    path = folder / "monitor.toml"
    head = f'[collector]\nlisten = "127.0.0.1:{port}"\ndata = "{folder}/data/monitor.duckdb"\n'
    path.write_text(head + "\n".join(probes))
    return path


def tcp_probe(name: str, port: int) -> str:
    return (
        f'[[probe]]\nname = "{name}"\ntype = "tcp"\ntarget = "127.0.0.1:{port}"\n'
        'interval = "1s"\ntimeout = "500ms"\nretries = 0\ncritical = true\n'
    )


@contextmanager
def running(config: Path, port: int) -> Iterator[Collector]:
    log = config.with_suffix(".log")
    with log.open("w") as output:
        process = subprocess.Popen(
            [*DHMON, "collector", "--config", config], stderr=output, text=True
        )
    collector = Collector(process, port, log)
    try:
        collector.until(lambda: bool(collector.get("/healthz")))
        yield collector
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)


def test_an_outage_is_seen_ended_and_survives_a_restart(tmp_path: Path) -> None:
    own, shop = free_ports(2)
    config = write_config(tmp_path, own, tcp_probe("shop", shop))

    with running(config, own) as collector:
        collector.until(lambda: bool(collector.get("/api/v1/incidents")["incidents"]))
        assert collector.target("shop")["state"] == "down"
        [incident] = collector.get("/api/v1/incidents")["incidents"]
        assert (incident["cause"], incident["closed_at"]) == ("refused", None)
        collector.process.send_signal(signal.SIGKILL)
        collector.process.wait()
    with socket.create_server(("127.0.0.1", shop)), running(config, own) as collector:
        collector.until(lambda: collector.target("shop")["state"] == "up")
        collector.until(lambda: not collector.get("/api/v1/overview")["incidents"])
        [closed] = collector.get("/api/v1/incidents")["incidents"]
        collector.process.send_signal(signal.SIGTERM)
        assert collector.process.wait(30) == 0

    assert closed["id"] == incident["id"]
    assert closed["closed_at"] is not None
    connection = open_database(tmp_path / "data" / "monitor.duckdb")
    counts = dict(
        connection.execute("SELECT verdict, count(*) FROM probe_results GROUP BY ALL").fetchall()
    )
    connection.close()
    assert counts["up"] >= 1
    assert not (tmp_path / "data" / "monitor.duckdb.wal").exists()


def test_a_reload_changes_what_is_watched_and_a_bad_file_is_refused(tmp_path: Path) -> None:
    own, shop = free_ports(2)
    config = write_config(tmp_path, own, tcp_probe("first", shop))

    with running(config, own) as collector:
        write_config(tmp_path, own, tcp_probe("second", shop))
        collector.process.send_signal(signal.SIGHUP)
        collector.until(lambda: collector.target("second")["state"] == "down")
        assert collector.target("first")["state"] == "absent"

        config.write_text("nonsense = 1")
        collector.process.send_signal(signal.SIGHUP)
        collector.until(
            lambda: "collector_config_last_reload_successful 0.0" in collector.get("/metrics")
        )
        assert collector.target("second")["state"] == "down"

    assert "configuration refused, the old one stays" in collector.log.read_text()


def refused(config: Path, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DHMON, "collector", "--config", config, *more],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def one_sentence(outcome: subprocess.CompletedProcess[str], *parts: str) -> None:
    """The last line on stderr names the thing and the remedy; there is no traceback."""
    assert "Traceback" not in outcome.stderr, outcome.stderr
    said = [line for line in outcome.stderr.splitlines() if line.startswith("dhmon: ")]
    assert len(said) == 1, outcome.stderr
    for part in parts:
        assert part in outcome.stderr


def test_a_busy_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        outcome = refused(write_config(tmp_path, port))

    assert outcome.returncode == 1
    one_sentence(
        outcome, f"collector.listen = 127.0.0.1:{port}", "listens there already", "another address"
    )


def test_an_unknown_type_of_probe_is_wrong_configuration(tmp_path: Path) -> None:
    config = write_config(tmp_path, 1, '[[probe]]\nname = "a"\ntype = "gopher"\ntarget = "x"\n')

    outcome = refused(config)

    assert outcome.returncode == 2
    one_sentence(outcome, "probe[0]", "'gopher'", "correct it")


def test_a_data_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")

    outcome = refused(write_config(tmp_path, free_ports(1)[0]))

    assert outcome.returncode == 1
    one_sentence(outcome, str(tmp_path / "data"), "cannot be written", "set collector.data")


@pytest.mark.parametrize("content", [b"garbage" * 5000, b""])
def test_a_damaged_store_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "monitor.duckdb").write_bytes(content)

    outcome = refused(write_config(tmp_path, free_ports(1)[0]))

    assert outcome.returncode == 1
    one_sentence(outcome, "monitor.duckdb", "damaged", "put a backup in its place")


def test_a_store_of_a_newer_version_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "monitor.duckdb"
    connection = open_database(path)
    migrate(connection, path, [*known_migrations(), Migration(999, "future", "SELECT 1")])
    connection.close()

    outcome = refused(write_config(tmp_path, free_ports(1)[0]))

    assert outcome.returncode == 1
    one_sentence(outcome, "schema version 999", "install the newer dhgate-monitor")


def test_a_second_collector_on_the_same_store_is_one_sentence(tmp_path: Path) -> None:
    own, other = free_ports(2)
    with running(write_config(tmp_path, own), own):
        outcome = refused(tmp_path / "monitor.toml", DHMON_COLLECTOR__LISTEN=f"127.0.0.1:{other}")

    assert outcome.returncode == 1
    one_sentence(outcome, "another process has it open", "stop that process")


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01 not http\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"]
)
def test_what_is_no_http_is_refused_in_one_line(tmp_path: Path, sent: bytes) -> None:
    [own] = free_ports(1)

    with running(write_config(tmp_path, own), own) as collector:
        with socket.create_connection(("127.0.0.1", own), timeout=10) as connection:
            connection.sendall(sent)
            answer = connection.recv(4096)
        alive = collector.get("/healthz")

    assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
    assert alive == {"status": "ok"}
    assert "Traceback" not in collector.log.read_text()


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")

    outcome = refused(write_config(tmp_path, free_ports(1)[0]), "--debug")

    assert "Traceback" in outcome.stderr
    assert "cannot be written" in outcome.stderr


def test_a_redis_that_cannot_be_reached_degrades_and_is_named(tmp_path: Path) -> None:
    own, nothing = free_ports(2)
    config = write_config(tmp_path, own)
    config.write_text(config.read_text() + f'[redis]\nurl = "redis://127.0.0.1:{nothing}/0"\n')

    with running(config, own) as collector:
        report = collector.get("/readyz")

    assert report["status"] == "degraded"
    assert f"127.0.0.1:{nothing}" in report["checks"]["redis"]["detail"]
