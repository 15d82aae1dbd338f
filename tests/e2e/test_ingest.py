"""A key made on the command line, events sent to a real collector with curl, found after a kill."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

from collector.store.db import open_database
from tests.e2e.test_collector_process import DHMON, running, write_config
from tests.servers.ports import free_ports

EVENTS = """\
{"event_id": "e1", "type": "click", "ts": "2026-11-24T10:00:00Z", "country": "NL"}
{"event_id": "e2", "type": "conversion", "ts": "2026-11-24T10:05:00+01:00", "txid": "t1",\
 "sale_amount": "49.90", "commission": 2.495, "currency": "EUR", "status": "pending"}
{"event_id": "e3", "type": "click"}
"""


def make_key(config: Path) -> str:
    command: list[str | Path] = [
        *DHMON, "key", "create", "--name", "shop", "--scope", "ingest", "--user", "ann", "--json",
        "--config", config,
    ]  # fmt: skip
    made = subprocess.run(command, capture_output=True, check=True)
    key: str = json.loads(made.stdout)["key"]
    return key


def post(port: int, key: str, *options: str, body: bytes = EVENTS.encode()) -> Any:
    sent = subprocess.run(
        [
            "curl", "--silent", "--show-error", "--data-binary", "@-",
            "--header", f"Authorization: Bearer {key}", *options,
            f"http://127.0.0.1:{port}/v1/events",
        ],
        input=body,
        capture_output=True,
        check=True,
    )  # fmt: skip
    return json.loads(sent.stdout)


def test_what_was_acknowledged_is_there_once_after_a_kill(tmp_path: Path) -> None:
    [port] = free_ports(1)
    config = write_config(tmp_path, port)
    # Before anything runs: the key outlives the command that made it.
    early = make_key(config)

    with running(config, port) as collector:
        late = make_key(config)
        first = post(port, early)
        assert post(port, late)["accepted"] == 2
        collector.process.send_signal(signal.SIGKILL)
        collector.process.wait()
    with running(config, port) as collector:
        zipped = subprocess.run(["gzip"], input=EVENTS.encode(), capture_output=True, check=True)
        again = post(port, early, "--header", "Content-Encoding: gzip", body=zipped.stdout)
        metrics = collector.get("/metrics")
        said = collector.log.read_text()

    rejected = [{"index": 2, "error": "Object missing required field `ts`"}]
    assert first == {"accepted": 2, "duplicates": 0, "rejected": rejected}
    assert again == {"accepted": 0, "duplicates": 2, "rejected": rejected}
    assert 'collector_events_total{result="duplicate"} 2.0' in metrics
    assert early not in said
    assert "/v1/events" not in said
    connection = open_database(tmp_path / "data" / "monitor.duckdb")
    found = connection.execute(
        "SELECT user_id, event_id, commission, count(*) FROM events GROUP BY ALL ORDER BY event_id"
    ).fetchall()
    connection.close()
    assert [(user, event, str(commission), count) for user, event, commission, count in found] == [
        ("ann", "e1", "None", 2),
        ("ann", "e2", "2.495000", 2),
    ]
