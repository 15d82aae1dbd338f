"""What a sample takes on disk, beside zstd Parquet and beside VictoriaMetrics."""

import asyncio
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import msgspec
from arro3.core import Table

from collector.store.batches import Batch
from collector.store.store import Store, open_store
from collector.store.upkeep import put_in_order, roll_up
from common.settings import OtelSettings
from common.telemetry import start
from tests.bench.figure import NO_GOAL, Figure, figure
from tests.bench.processes import START_SECONDS, await_answer, fetch, running
from tests.servers.nginx import Nginx
from tests.servers.ports import free_ports
from tests.servers.process import program

SERIES = 500
SCRAPES = 5760
SAMPLES = SERIES * SCRAPES
IN_BATCH = SAMPLES // 16
LINES_IN_REQUEST = 50
POLL_SECONDS = 0.2
# A day of what hosts and shops tell every 15 s: shares that wander, counters that grow, latencies
# in milliseconds, states that hardly change; in the order in which it comes.
MAKE = """
CREATE TABLE made AS
SELECT
    CAST(hash(series) AS UBIGINT) AS series_id,
    $start + to_seconds(15 * scrape) AS ts,
    CAST(CASE series % 4
        WHEN 0 THEN round(0.5 + 0.3 * sin(scrape / 300 + series) + random() / 50, 3)
        WHEN 1 THEN scrape * (1000 + series) + floor(random() * 100)
        WHEN 2 THEN round(0.08 + random() / 20, 3)
        ELSE floor(scrape / 1000 + series)
    END AS DOUBLE) AS value
FROM range($scrapes) AS a(scrape), range($series) AS b(series)
ORDER BY ts, series
"""
LINES = """
SELECT CAST(series_id AS VARCHAR), list(value ORDER BY ts), list(epoch_ms(ts) ORDER BY ts)
FROM made GROUP BY ALL
"""
PARQUET = (
    "COPY (SELECT * FROM made ORDER BY {order}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)"
)
NAMES = """
INSERT INTO series
SELECT DISTINCT series_id, 'made', MAP {'n': CAST(series_id AS VARCHAR)} FROM batch
"""
BEGIN = """
UPDATE rollup_state SET rolled_until = (SELECT min(ts) FROM batch) WHERE level <> 'raw'
"""
USED = "SELECT block_size * used_blocks FROM pragma_database_size() WHERE database_name <> 'temp'"


def measure(folder: Path, nginx: Nginx) -> list[Figure]:
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    # The day before yesterday: one is put in order an hour after it ended.
    day -= timedelta(days=2)
    with duckdb.connect() as made:
        made.execute("SET TimeZone = 'UTC'")
        made.execute(MAKE, {"start": day, "scrapes": SCRAPES, "series": SERIES})
        raw, with_rollups = asyncio.run(_ours(folder, made))
        parquet = folder / "samples.parquet"
        made.execute(PARQUET.format(order="series_id, ts", path=parquet))
        victoria = _victoria_metrics(folder, made)
    beside: list[tuple[str, float]] = [
        ("zstd Parquet, in order", parquet.stat().st_size / SAMPLES),
        ("VictoriaMetrics", victoria),
    ]
    return [
        figure(name, measured, "bytes", beside=other, reference=reference, goal=NO_GOAL)
        for name, measured in (
            ("a sample on disk, after its day is in order", raw),
            ("a sample on disk, its roll-ups included", with_rollups),
        )
        for other, reference in beside
    ]


async def _ours(folder: Path, made: duckdb.DuckDBPyConnection) -> tuple[float, float]:
    """Bytes a sample: of the samples alone, and with their minutes and hours."""
    rows = Table.from_arrow(made.sql("FROM made"))
    telemetry = start(OtelSettings(), service="bench", version="0", environment="development")
    async with open_store(folder / "size.duckdb", telemetry) as store:
        empty = await used_bytes(store)
        await store.write(_begun(rows))
        for first in range(0, SAMPLES, IN_BATCH):
            await store.append(Batch("samples", rows.slice(first, IN_BATCH)))
        await put_in_order(store, datetime.now(UTC))
        raw = await used_bytes(store) - empty
        await roll_up(store)
        await put_in_order(store, datetime.now(UTC))
        return raw / SAMPLES, (await used_bytes(store) - empty) / SAMPLES


def _begun(rows: Table) -> Callable[[duckdb.DuckDBPyConnection], None]:
    """The series are known, and nothing that comes is late, as in a store that runs already."""

    def work(connection: duckdb.DuckDBPyConnection) -> None:
        connection.register("batch", rows)
        connection.execute(NAMES)
        connection.execute(BEGIN)
        connection.unregister("batch")

    return work


async def used_bytes(store: Store) -> int:
    """Of the file, without its free blocks."""

    def work(connection: duckdb.DuckDBPyConnection) -> int:
        # What one makes free, the next one counts.
        for _ in range(3):
            connection.execute("CHECKPOINT")
        return int(connection.execute(USED).fetchall()[0][0])

    return await store.write(work)


def _victoria_metrics(folder: Path, made: duckdb.DuckDBPyConnection) -> float:
    [port] = free_ports(1)
    data = folder / "victoria"
    command = [
        program("victoria-metrics"),
        f"-storageDataPath={data}",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-retentionPeriod=12",
    ]
    with running(command, log=folder / "victoria.log"):
        address = f"http://127.0.0.1:{port}"
        await_answer(f"{address}/health")
        lines = [
            msgspec.json.encode(
                {"metric": {"__name__": "made", "n": n}, "values": values, "timestamps": times}
            )
            for n, values, times in made.execute(LINES).fetchall()
        ]
        for first in range(0, len(lines), LINES_IN_REQUEST):
            body = b"\n".join(lines[first : first + LINES_IN_REQUEST])
            _post(f"{address}/api/v1/import", body)
        _post(f"{address}/internal/force_flush", b"")
        _await(f"{address}/metrics", lambda gauges: _sum(gauges, "vm_rows{") >= SAMPLES)
        _post(f"{address}/internal/force_merge", b"")
        merged = _await(
            f"{address}/metrics", lambda gauges: not _sum(gauges, "vm_active_force_merges")
        )
        return _sum(merged, "vm_data_size_bytes{") / SAMPLES


def _sum(gauges: list[str], prefix: str) -> float:
    return sum(float(line.split()[-1]) for line in gauges if line.startswith(prefix))


def _await(metrics: str, is_so: Callable[[list[str]], bool]) -> list[str]:
    """Its metrics, once they are so."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        gauges = fetch(metrics).splitlines()
        if is_so(gauges):
            return gauges
        time.sleep(POLL_SECONDS)
    raise TimeoutError("VictoriaMetrics is not ready")


def _post(url: str, body: bytes) -> None:
    urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=120).read()
