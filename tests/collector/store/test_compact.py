"""Compaction gives space back and loses nothing, killed at whatever moment."""

import asyncio
import shutil
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from collector.errors import StoreError
from collector.model.report import Compacted, Progress, Report
from collector.store.batches import samples_batches
from collector.store.care import compact, compact_closed, keep_compacting
from collector.store.compact import SUFFIX, Space, read_space
from collector.store.db import open_database
from collector.store.migrate import known_migrations, migrate
from collector.store.store import Store, open_store
from common.telemetry import Telemetry
from tests.collector.store.test_store import COUNT, Count, some_samples

FILL = """
INSERT INTO samples SELECT i % 100, make_timestamptz(1700000000000000 + i * 100000), random()
FROM range(3000000) AS t(i)
"""
SUM = "SELECT count(*), bit_xor(hash(series_id, ts, value)) FROM samples"
OBJECTS = """
SELECT sql FROM duckdb_tables() WHERE database_name = current_database()
UNION ALL
SELECT sql FROM duckdb_views() WHERE database_name = current_database() AND NOT internal
ORDER BY ALL
"""


def made(path: Path) -> list[tuple[object, ...]]:
    """A store that is mostly free space; returns what its samples amount to."""
    connection = open_database(path)
    migrate(connection, path, known_migrations())
    connection.execute(FILL)
    connection.execute("CHECKPOINT")
    connection.execute("DELETE FROM samples WHERE ts < make_timestamptz(1700270000000000)")
    connection.execute("CHECKPOINT")
    found = connection.execute(SUM).fetchall()
    connection.close()
    return found


def content(path: Path) -> list[tuple[object, ...]]:
    connection = open_database(path)
    try:
        return connection.execute(SUM).fetchall()
    finally:
        connection.close()


def objects(path: Path) -> list[tuple[object, ...]]:
    connection = open_database(path)
    try:
        return connection.execute(OBJECTS).fetchall()
    finally:
        connection.close()


def test_space_is_given_back_and_everything_stays(tmp_path: Path) -> None:
    path = tmp_path / "monitor.duckdb"
    expected, before, size = made(path), objects(path), path.stat().st_size
    said: list[Report] = []

    asyncio.run(compact_closed(path, None, said.append))

    last = said[-1]
    assert isinstance(last, Compacted)
    assert (last.bytes_before, last.bytes_after) == (size, path.stat().st_size)
    assert last.bytes_after < size / 4
    assert {one.step for one in said if isinstance(one, Progress)} >= {"writing samples"}
    assert content(path) == expected
    assert objects(path) == before
    assert list(tmp_path.iterdir()) == [path]


async def test_keys_still_hold_afterwards(store: Store) -> None:
    await store.append(*samples_batches(some_samples(1, 2)))

    await compact(store, lambda report: None)
    await store.append(*samples_batches(some_samples(3)))

    assert await store.fetch(Count, "SELECT count(*) AS count FROM series") == [Count(1)]
    with pytest.raises(StoreError, match="uplicate key"):
        await store.write(
            lambda connection: connection.execute("INSERT INTO series SELECT * FROM series")
        )


async def test_rows_and_queries_that_come_meanwhile_wait_and_are_served(store: Store) -> None:
    await store.write(lambda connection: connection.execute(FILL))
    compacting = asyncio.create_task(compact(store, lambda report: None))
    await asyncio.sleep(0)
    writing = [
        asyncio.create_task(store.append(*samples_batches(some_samples(number))))
        for number in range(20)
    ]
    reading = [asyncio.create_task(store.fetch(Count, COUNT)) for _ in range(5)]

    await asyncio.gather(compacting, *writing)
    counts = await asyncio.gather(*reading)

    assert all(3_000_000 <= count.count <= 3_000_020 for [count] in counts)
    assert await store.fetch(Count, COUNT) == [Count(3_000_020)]


async def test_rows_of_a_day_stand_series_by_series(tmp_path: Path) -> None:
    path = tmp_path / "monitor.duckdb"
    made(path)

    await compact_closed(path, None, lambda report: None)

    connection = open_database(path)
    in_order = connection.execute(
        "SELECT bool_and(later) FROM (SELECT (date_trunc('day', ts), series_id, ts) > "
        "lag((date_trunc('day', ts), series_id, ts)) OVER (ORDER BY rowid) AS later FROM samples)"
    ).fetchall()
    connection.close()
    assert in_order == [(True,)]


def test_a_compaction_that_is_abandoned_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "monitor.duckdb"
    expected, size = made(path), path.stat().st_size

    def leave(report: Report) -> None:
        if isinstance(report, Progress) and report.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(compact_closed(path, None, leave))

    assert path.stat().st_size == size
    assert content(path) == expected
    assert list(tmp_path.iterdir()) == [path]


async def test_without_room_it_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    full = shutil._ntuple_diskusage(100, 99, 1)
    monkeypatch.setattr("collector.store.compact.shutil.disk_usage", lambda path: full)
    await store.append(*samples_batches(some_samples(1)))

    with pytest.raises(StoreError, match="needed for the fresh file, 0 are free; free some space"):
        await compact(store, lambda report: None)

    assert await store.fetch(Count, COUNT) == [Count(1)]


async def test_what_a_killed_compaction_left_is_removed_at_the_next_start(
    tmp_path: Path, telemetry: Telemetry
) -> None:
    path = tmp_path / "monitor.duckdb"
    leftovers = [path.with_name(path.name + end) for end in (SUFFIX, SUFFIX + ".wal")]
    for leftover in leftovers:
        leftover.write_text("half")

    async with open_store(path, telemetry):
        pass

    assert [leftover for leftover in leftovers if leftover.exists()] == []


async def test_the_collector_compacts_a_file_that_is_mostly_free(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.store.compact.MIN_FREE_BYTES", 1 << 20)
    monkeypatch.setattr("collector.store.care.COMPACT_SECONDS", 0.01)
    await store.write(lambda connection: connection.execute(FILL))
    await store.checkpoints.checkpoint()
    await store.write(
        lambda connection: connection.execute("DELETE FROM samples WHERE series_id > 9")
    )
    await store.checkpoints.checkpoint()
    size = store.path.stat().st_size

    compacting = asyncio.create_task(keep_compacting(store))
    async with asyncio.timeout(60):
        while store.path.stat().st_size > size / 2:
            await store.fetch(Count, COUNT)
    compacting.cancel()
    await asyncio.wait([compacting])

    assert await store.fetch(Count, COUNT) == [Count(300_000)]


@pytest.mark.parametrize(
    ("used", "free", "is_worth_it"),
    [(100 << 20, 250 << 20, False), (300 << 20, 290 << 20, False), (300 << 20, 310 << 20, True)],
)
def test_it_is_worth_it_when_most_of_a_large_file_is_free(
    used: int, free: int, is_worth_it: bool
) -> None:
    assert Space(used, free).is_worth_it is is_worth_it


async def test_free_space_is_known(store: Store) -> None:
    await store.write(lambda connection: connection.execute(FILL))
    await store.checkpoints.checkpoint()
    full = await store.aside(read_space)
    await store.write(lambda connection: connection.execute("DELETE FROM samples"))
    await store.checkpoints.checkpoint()

    empty = await store.aside(read_space)

    assert full.used_bytes > empty.used_bytes
    assert empty.free_bytes > full.free_bytes


# Ends itself, as kill -9 does, at the moment that its argument names.
KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from collector.model.report import Progress
from collector.store import compact
from collector.store.care import compact_closed

path, moment = Path(sys.argv[1]), sys.argv[2]
swap = compact._swap

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def killed_swap(path, fresh, then):
    if moment == "before the rename":
        kill()
    os.replace(fresh, path)
    if moment == "after the rename":
        kill()

def say(report):
    if isinstance(report, Progress) and moment == f"{report.step} {report.done > 0}":
        kill()
    if not isinstance(report, Progress) and moment == "at the end":
        kill()

compact._swap = killed_swap
asyncio.run(compact_closed(path, None, say))
"""
MOMENTS = [
    "writing events False",
    "writing migration False",
    "writing samples True",
    "writing series True",
    "before the rename",
    "after the rename",
    "at the end",
]


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_a_certain_moment_it_leaves_a_whole_file(tmp_path: Path, moment: str) -> None:
    path = tmp_path / "monitor.duckdb"
    expected = made(path)

    killed = subprocess.run([sys.executable, "-c", KILLED, path, moment], check=False)

    assert killed.returncode == -9
    assert content(path) == expected
    asyncio.run(compact_closed(path, None, lambda report: None))
    assert content(path) == expected
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.8, 0.9, 0.95, 1.0])
def test_killed_at_any_moment_it_leaves_a_whole_file(tmp_path: Path, share: float) -> None:
    path = tmp_path / "monitor.duckdb"
    expected = made(path)
    twin = tmp_path / "twin.duckdb"
    shutil.copy(path, twin)
    command = [sys.executable, "-c", KILLED]
    seconds = timed([*command, str(twin), "never"])

    timed([*command, str(path), "never"], kill_after_seconds=seconds * share)

    assert content(path) == expected
    connection = duckdb.connect(str(path))
    connection.execute("CHECKPOINT")
    connection.close()
    assert content(path) == expected


def timed(command: list[str], kill_after_seconds: float | None = None) -> float:
    started = time.monotonic()
    process = subprocess.Popen(command)
    try:
        process.wait(kill_after_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return time.monotonic() - started
