"""A collector that is killed fifty times while it takes events, probes and samples its host."""

import json
import random
import signal
import threading
import time
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path

import duckdb
import pytest

from collector.store.db import open_database
from tests.collector.store.test_crash import differences
from tests.e2e.test_collector_process import Collector, running, tcp_probe
from tests.e2e.test_ingest import make_key
from tests.servers.ports import free_ports

KILLS = 50
LONGEST_SECONDS = 0.7
EVENT = '{"event_id": "%s", "type": "click", "ts": "2026-11-24T10:00:00Z"}'
COUNTS = "SELECT event_id, count(*) FROM events GROUP BY ALL"


class Sender(threading.Thread):
    """Sends events until the collector is gone; `acknowledged` are the ids that it heard of."""

    def __init__(self, port: int, key: str, name: str, rows: int) -> None:
        super().__init__()
        self.acknowledged: list[str] = []
        self.errors: list[str] = []
        self._port, self._key, self._prefix, self._rows = port, key, name, rows

    def run(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        again: list[str] = []
        try:
            for batch in count():
                ids = [f"{self._prefix}-{batch}-{row}" for row in range(self._rows)]
                self._send(connection, ids, again)
                again = ids[:2]
        except (OSError, HTTPException):
            connection.close()

    def _send(self, connection: HTTPConnection, ids: list[str], again: list[str]) -> None:
        """Two of the batch before are sent once more."""
        body = "\n".join(EVENT % one for one in ids + again)
        connection.request("POST", "/v1/events", body, {"Authorization": f"Bearer {self._key}"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        expected = {"accepted": len(ids), "duplicates": len(again), "rejected": []}
        if answer != expected:
            self.errors.append(str(answer))
        self.acknowledged += ids


def killed(collector: Collector, key: str, number: int) -> list[str]:
    """Load it, kill it at any moment; returns what was acknowledged."""
    senders = [
        Sender(collector.port, key, f"{number}-{place}", rows)
        for place, rows in enumerate((1, 1, 40, 400))
    ]
    for sender in senders:
        sender.start()
    collector.until(lambda: any(sender.acknowledged for sender in senders))
    time.sleep(random.uniform(0, LONGEST_SECONDS))  # noqa: S311 - a moment, not a secret
    collector.process.send_signal(signal.SIGKILL)
    collector.process.wait()
    for sender in senders:
        sender.join()
    assert [error for sender in senders for error in sender.errors] == []
    return [one for sender in senders for one in sender.acknowledged]


def check(connection: duckdb.DuckDBPyConnection, acknowledged: set[str]) -> None:
    found = dict(connection.execute(COUNTS).fetchall())
    assert acknowledged <= found.keys(), "acknowledged events are missing"
    assert set(found.values()) <= {1}, "events are there twice"
    assert differences(connection) == []


@pytest.mark.timeout(600)
def test_every_acknowledged_event_is_there_once_after_each_of_fifty_kills(tmp_path: Path) -> None:
    own, shop = free_ports(2)
    config = tmp_path / "monitor.toml"
    config.write_text(
        f'[collector]\nlisten = "127.0.0.1:{own}"\ndata = "{tmp_path}/data/monitor.duckdb"\n'
        'host_interval = "1s"\n[collector.quota]\nstandard = 1000000000\n'
        f"{tcp_probe('shop', shop)}"
    )
    key = make_key(config)
    acknowledged: set[str] = set()
    for number in range(KILLS):
        with running(config, own) as collector:
            acknowledged.update(killed(collector, key, number))
        with closing(open_database(tmp_path / "data" / "monitor.duckdb")) as connection:
            check(connection, acknowledged)

    with running(config, own) as collector:
        collector.until(lambda: collector.target("shop")["state"] == "down")
    assert len(acknowledged) > KILLS
