"""Bulk NDJSON over HTTP, durable, beside DuckDB's own reading of the same bytes into the same
table; and how long the event loop was kept from answering meanwhile."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from aiohttp import ClientSession

from collector.store.db import open_database
from collector.store.migrate import known_migrations, migrate
from tests.bench.event_load import EventCollector, event_collector, lines
from tests.bench.figure import Figure, Goal, figure
from tests.bench.processes import highest_memory
from tests.servers.nginx import Nginx

ROWS_IN_REQUEST = 50_000
REQUESTS = 20
AT_ONCE = 6
PING_SECONDS = 0.005
IDLE_SECONDS = 3.0
MEBIBYTE = 1 << 20
FAST = Goal(0.5, of_ratio=True, text="≥ 0.5 of the reference", at_least=True)
RESPONSIVE = Goal(20, of_ratio=False, text="p99 < 20 ms")
SMALL = Goal(1024, of_ratio=False, text="< 1 GB")

PING = """
import http.client, json, select, sys, time
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
taken = []
while not select.select([sys.stdin], [], [], float(sys.argv[2]))[0]:
    started = time.perf_counter()
    connection.request("GET", "/healthz")
    connection.getresponse().read()
    taken.append(time.perf_counter() - started)
print(json.dumps(taken))
"""
COLUMNS = """{
    event_id: 'VARCHAR', type: 'VARCHAR', ts: 'TIMESTAMPTZ', user_id: 'VARCHAR',
    network: 'VARCHAR', program: 'VARCHAR', click_id: 'VARCHAR',
    sub_ids: 'MAP(VARCHAR, VARCHAR)', country: 'VARCHAR', device: 'VARCHAR', page: 'VARCHAR',
    txid: 'VARCHAR', sale_amount: 'DECIMAL(18, 6)', commission: 'DECIMAL(18, 6)',
    currency: 'VARCHAR', status: 'VARCHAR'
}"""
READ_JSON = f"""
INSERT INTO events BY NAME
SELECT now() AS received_at, 'bench' AS key_id, hash('bench', event_id) AS event_key, *
FROM read_json($files, format = 'newline_delimited', columns = {COLUMNS})
"""  # noqa: S608 - made of constants


def measure(folder: Path, nginx: Nginx) -> list[Figure]:
    bodies = [lines(number * ROWS_IN_REQUEST, ROWS_IN_REQUEST) for number in range(REQUESTS)]
    with event_collector(folder) as running:
        seconds, busy, idle, peak = _load(running, bodies)
    rows = ROWS_IN_REQUEST * REQUESTS
    return [
        figure(
            "bulk NDJSON through HTTP, durable",
            rows / seconds / 1000,
            "k rows/s",
            beside="INSERT … SELECT FROM read_json of the same bytes",
            reference=rows / _read_json(folder, bodies) / 1000,
            goal=FAST,
        ),
        figure(
            "answer of /healthz during bulk ingest, p99",
            busy * 1000,
            "ms",
            beside="idle",
            reference=idle * 1000,
            goal=RESPONSIVE,
        ),
        figure(
            "resident memory, highest during bulk ingest",
            peak / MEBIBYTE,
            "MiB",
            beside="bytes sent",
            reference=sum(len(body) for body in bodies) / MEBIBYTE,
            goal=SMALL,
        ),
    ]


def _load(running: EventCollector, bodies: list[bytes]) -> tuple[float, float, float, float]:
    """Seconds of the whole load, p99 of a ping meanwhile and when idle, highest memory."""
    with _pinging(running.port) as idle:
        time.sleep(IDLE_SECONDS)
    with _pinging(running.port) as busy:
        started = time.perf_counter()
        ended = asyncio.run(_send_all(running, bodies))
    return ended - started, _p99(busy), _p99(idle), highest_memory(running.process.pid)


async def _send_all(running: EventCollector, bodies: list[bytes]) -> float:
    async with ClientSession() as session:
        return await _send(session, running, bodies)


@contextmanager
def _pinging(port: int) -> Iterator[list[float]]:
    """Seconds of each ping during the block, from a process that does nothing else."""
    taken: list[float] = []
    command = [sys.executable, "-c", PING, str(port), str(PING_SECONDS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as pinger:
        yield taken
        said, _ = pinger.communicate(b"")
    taken += json.loads(said)


async def _send(session: ClientSession, running: EventCollector, bodies: list[bytes]) -> float:
    """When the last was acknowledged."""
    headers = {
        "Authorization": f"Bearer {running.key}", "Content-Type": "application/x-ndjson",
    }  # fmt: skip
    waiting = iter(bodies)

    async def send() -> None:
        for body in waiting:
            async with session.post(running.url, data=body, headers=headers) as answer:
                outcome = await answer.json()
            if outcome.get("accepted") != ROWS_IN_REQUEST:
                raise RuntimeError(f"not everything was accepted: {outcome}")

    await asyncio.gather(*(send() for _ in range(AT_ONCE)))
    return time.perf_counter()


def _p99(taken: list[float]) -> float:
    return sorted(taken)[int(len(taken) * 0.99)]


def _read_json(folder: Path, bodies: list[bytes]) -> float:
    """Seconds, with the store's own settings and schema."""
    files = []
    for number, body in enumerate(bodies):
        file = folder / f"bulk-{number}.ndjson"
        file.write_bytes(body)
        files.append(str(file))
    path = folder / "reference.duckdb"
    connection: duckdb.DuckDBPyConnection = open_database(path)
    migrate(connection, path, known_migrations())
    started = time.perf_counter()
    connection.execute(READ_JSON, {"files": files})
    seconds = time.perf_counter() - started
    connection.close()
    return seconds
