"""What is acknowledged is there, and what is not is not."""

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from arro3.core import Array, DataType, Table

from collector.errors import StoreBusyError, StoreError
from collector.model.sample import Sample
from collector.store import queue
from collector.store.batches import Batch, probe_results_batch, samples_batches
from collector.store.db import open_database
from collector.store.migrate import Migration, known_migrations, migrate
from collector.store.store import Store, open_store
from common.settings import OtelSettings
from common.telemetry import Telemetry, start
from tests.collector.conftest import NOON, make_probe, make_result

SAMPLES = """
SELECT metric, labels, ts, value FROM samples JOIN series USING (series_id) ORDER BY value
"""
COUNT = "SELECT count(*) AS count FROM samples"


@dataclass(frozen=True)
class SampleRow:
    metric: str
    labels: dict[str, str]
    ts: datetime
    value: float


@dataclass(frozen=True)
class Count:
    count: int


def some_samples(*values: float) -> list[Sample]:
    return [Sample("temperature", (("room", "attic"),), NOON, value) for value in values]


async def test_samples_come_back_with_their_labels_and_microseconds(store: Store) -> None:
    at = NOON + timedelta(microseconds=123_457)
    sample = Sample("temperature", (("room", 'a"t\\tic'), ("side", "nörd")), at, 21.5)

    await store.append(*samples_batches([sample]))

    rows = await store.fetch(SampleRow, SAMPLES)
    assert rows == [SampleRow("temperature", dict(sample.labels), at, 21.5)]


async def test_a_label_set_is_stored_once_however_often_it_is_met(store: Store) -> None:
    await asyncio.gather(*(store.append(*samples_batches(some_samples(1, 2))) for _ in range(20)))

    rows = await store.fetch(Count, "SELECT count(*) AS count FROM series")
    assert rows == [Count(1)]
    assert await store.fetch(Count, COUNT) == [Count(40)]


async def test_an_acknowledged_row_is_seen_by_the_next_query(store: Store) -> None:
    for number in range(1, 6):
        await store.append(*samples_batches(some_samples(number)))

        assert await store.fetch(Count, COUNT) == [Count(number)]


async def test_a_failed_commit_tells_every_caller_and_leaves_nothing_behind(store: Store) -> None:
    unknown_column = Table.from_pydict({"nonsense": Array([1], DataType.uint64())})

    with pytest.raises(StoreError):
        await store.append(*samples_batches(some_samples(1)), Batch("series", unknown_column))

    assert await store.fetch(Count, COUNT) == [Count(0)]
    await store.append(*samples_batches(some_samples(2)))
    assert await store.fetch(Count, COUNT) == [Count(1)]


async def test_a_full_queue_is_refused_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "MAX_QUEUED_ROWS", 3)

    with pytest.raises(StoreBusyError, match="again in a second"):
        await store.append(*samples_batches(some_samples(1, 2, 3, 4)))

    assert await store.fetch(Count, COUNT) == [Count(0)]


async def test_closing_writes_what_is_queued(tmp_path: Path, telemetry: Telemetry) -> None:
    path = tmp_path / "monitor.duckdb"
    async with open_store(path, telemetry) as store:
        pending = [
            asyncio.ensure_future(store.append(*samples_batches(some_samples(number))))
            for number in range(50)
        ]
        await asyncio.sleep(0)
    await asyncio.gather(*pending)

    connection = open_database(path)
    rows = connection.execute(COUNT).fetchall()
    connection.close()
    assert rows == [(50,)]
    assert not path.with_name("monitor.duckdb.wal").exists()


async def test_a_probe_result_is_stored_whole(store: Store) -> None:
    await store.append(probe_results_batch([make_result("down", probe=make_probe(critical=True))]))

    rows = await store.fetch(
        dict, "SELECT name, verdict, critical, reason, resolve_seconds, ts FROM probe_results"
    )
    assert rows == [
        {
            "name": "shop",
            "verdict": "down",
            "critical": True,
            "reason": "status",
            "resolve_seconds": None,
            "ts": NOON,
        }
    ]


async def test_a_query_that_runs_away_is_cancelled_and_others_go_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.store.reader.TIMEOUT_SECONDS", 0.2)
    endless = "SELECT count(*) AS count FROM range(10000000) a, range(10000000) b WHERE a <> b"

    with pytest.raises(StoreError, match="shorter span"):
        await store.fetch(Count, endless)

    monkeypatch.setattr("collector.store.reader.TIMEOUT_SECONDS", 30)
    assert await store.fetch(Count, COUNT) == [Count(0)]


@pytest.mark.parametrize(
    "reach",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')",
        "COPY samples TO '/tmp/samples.csv'",
        "ATTACH '/tmp/other.duckdb'",
        "SELECT * FROM read_text('{folder}/../../../../etc/hostname')",
        "INSTALL httpfs",
        "LOAD '/tmp/evil.duckdb_extension'",
        "SET threads = 1",
        "SET GLOBAL enable_external_access = true",
        "RESET lock_configuration",
    ],
)
async def test_no_query_of_the_process_gets_out_of_the_data_folder(
    store: Store, reach: str
) -> None:
    """Whoever wrote it: this holds behind the sandbox for people's SQL."""
    with pytest.raises(StoreError):
        await store.fetch(dict, reach.format(folder=store.path.parent))


async def test_the_wall_stands_again_when_the_file_was_opened_again(store: Store) -> None:
    await store.exclusively(lambda database: database.reopen())

    with pytest.raises(StoreError):
        await store.fetch(dict, "SELECT * FROM read_text('/etc/hostname')")


KILLED = """
import asyncio, os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from collector.model.sample import Sample
from collector.store.batches import samples_batches
from collector.store.store import open_store
from common.settings import OtelSettings
from common.telemetry import start

async def main() -> None:
    telemetry = start(OtelSettings(), service="t", version="0", environment="development")
    async with open_store(Path(sys.argv[1]), telemetry) as store:
        for number in range(int(sys.argv[2])):
            await store.append(*samples_batches([Sample("n", (), datetime.now(UTC), number)]))
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "monitor.duckdb"

    killed = subprocess.run([sys.executable, "-c", KILLED, path, "20"], check=False)

    assert killed.returncode == -9
    connection = open_database(path)
    values = connection.execute("SELECT value FROM samples ORDER BY value").fetchall()
    connection.close()
    assert values == [(float(number),) for number in range(20)]


def test_a_second_process_is_told_who_has_the_file(tmp_path: Path) -> None:
    path = tmp_path / "monitor.duckdb"
    connection = open_database(path)

    second = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, pathlib; from collector.store.db import open_database;"
            "open_database(pathlib.Path(sys.argv[1]))",
            path,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    connection.close()

    assert f"another process has it open ({sys.executable}" in second.stderr.replace(
        os.path.realpath(sys.executable), sys.executable
    )
    assert f"PID {os.getpid()}" in second.stderr


@pytest.mark.parametrize("content", [b"hello", bytes(20_000), os.urandom(20_000)])
def test_a_file_that_is_no_store_is_named_with_a_remedy(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "monitor.duckdb"
    path.write_bytes(content)

    with pytest.raises(StoreError, match="damaged or is not a DuckDB file; move it away"):
        open_database(path)

    assert path.read_bytes() == content


async def test_a_truncated_file_is_named_with_a_remedy(
    tmp_path: Path, telemetry: Telemetry
) -> None:
    path = tmp_path / "monitor.duckdb"
    async with open_store(path, telemetry) as store:
        await store.append(*samples_batches(some_samples(*range(50_000))))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])

    again = start(OtelSettings(), service="test", version="0", environment="development")
    with pytest.raises(StoreError, match="damaged"):
        async with open_store(path, again) as store:
            await store.fetch(Count, "SELECT sum(value) AS count FROM samples")


def test_migrations_are_numbered_without_gaps() -> None:
    versions = [migration.version for migration in known_migrations()]

    assert versions == list(range(1, len(versions) + 1))


def test_migrations_are_applied_once(tmp_path: Path) -> None:
    path = tmp_path / "monitor.duckdb"
    connection = open_database(path)

    first = migrate(connection, path, known_migrations())
    second = migrate(connection, path, known_migrations())
    connection.close()

    assert first == known_migrations()
    assert second == []


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "monitor.duckdb"
    connection = open_database(path)
    future = [*known_migrations(), Migration(999, "from_the_future", "SELECT 1")]
    migrate(connection, path, future)

    with pytest.raises(StoreError, match="schema version 999, this code knows up to"):
        migrate(connection, path, known_migrations())
    connection.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "monitor.duckdb"
    connection = open_database(path)
    migrate(connection, path, known_migrations())
    broken = Migration(999, "broken", "CREATE TABLE half (x INTEGER); SELECT no_such_function();")

    with pytest.raises(StoreError, match="migration 0999 broken failed"):
        migrate(connection, path, [*known_migrations(), broken])

    tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    connection.close()
    assert ("half",) not in tables


def test_times_far_from_now_keep_their_microseconds() -> None:
    early = datetime(1971, 1, 1, 0, 0, 0, 1, tzinfo=UTC)

    batch = probe_results_batch([make_result(started_at=early)])

    assert batch.rows["ts"].to_pylist() == [early]
