"""A collector whose disk fills up: it says so, loses nothing, lives, and goes on."""

import json
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

from collector.store.db import open_database
from tests.e2e.test_collector_process import Collector, running, write_config
from tests.e2e.test_ingest import make_key
from tests.servers.ports import free_ports
from tests.servers.small_disk import small_disk

ROWS = 2000
EVENT = '{"event_id": "%064x", "type": "click", "ts": "2026-11-24T10:00:00Z"}'


def send(collector: Collector, key: str, batch: int) -> tuple[int, dict[str, str], bytes]:
    """Ids that do not compress; status, headers and body of the answer."""
    numbers = range(batch * ROWS, (batch + 1) * ROWS)
    body = "\n".join(EVENT % (number * 2654435761 % 2**251) for number in numbers)
    with closing(HTTPConnection("127.0.0.1", collector.port, timeout=30)) as connection:
        connection.request("POST", "/v1/events", body, {"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


def test_a_full_disk_is_told_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    [port] = free_ports(1)
    with small_disk(tmp_path, 40) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(6 << 20))
        config = write_config(disk, port)
        config.write_text(f"{config.read_text()}[collector.quota]\nstandard = 1000000000\n")
        key = make_key(config)
        with running(config, port) as collector:
            kept, batch = 0, 0
            while (answer := send(collector, key, batch))[0] == 200:
                kept += json.loads(answer[2])["accepted"]
                batch += 1
            status, headers, body = answer
            problem = json.loads(body)
            assert (status, headers["Retry-After"]) == (503, "1")
            assert "free space" in problem["detail"]
            assert collector.get("/healthz") == {"status": "ok"}
            assert collector.get("/api/v1/overview")["targets"] == []

            ballast.unlink()
            status, _, body = send(collector, key, batch)
            kept += json.loads(body)["accepted"]
            assert status == 200
        with closing(open_database(disk / "data" / "monitor.duckdb")) as connection:
            query = "SELECT count(*), count(DISTINCT event_id) FROM events"
            assert connection.execute(query).fetchall() == [(kept, kept)]
    assert kept > ROWS
