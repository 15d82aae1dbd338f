"""Give space back: every row is written into a fresh file, which then takes the place of the old.

DuckDB never makes a file shorter than its last block in use. Killed at any moment, this leaves the
old file or the new one, whole.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from collector.errors import StoreError
from collector.model.report import Compacted, Progress, Say
from collector.store.checkpoint import wal_path
from collector.store.database import Database
from collector.store.db import explain, transaction
from collector.store.snapshots import sync_folder

SUFFIX = ".compacting"
DAY = timedelta(days=1)
# By itself only for a good reason: writers wait meanwhile.
MIN_FREE_BYTES = 256 << 20
MIN_FREE_RATIO = 0.5

TABLES = """
SELECT table_name FROM duckdb_tables()
WHERE database_name = current_database() AND NOT temporary
ORDER BY table_name
"""
BLOCKS = """
SELECT block_size, total_blocks, free_blocks FROM pragma_database_size()
WHERE database_name = current_database()
"""
THIS = "SELECT current_database()"
COUNT = "SELECT count(*) FROM {table}"
DAYS = "SELECT DISTINCT date_trunc('day', ts) FROM {table} ORDER BY 1"
COPY = "INSERT INTO fresh.{table} SELECT * FROM {table}"
COPY_DAY = COPY + " WHERE ts >= $day AND ts < $until ORDER BY {order}"
# Day by day, so that retention still drops whole row groups; within a day what is read together
# stands together.
ORDERS = {
    "samples": "series_id, ts",
    "samples_minute": "series_id, ts",
    "samples_hour": "series_id, ts",
    "probe_results": "name, ts",
    "events": "ts",
}


@dataclass(frozen=True, slots=True)
class Space:
    """How much of the file is in use."""

    used_bytes: int
    free_bytes: int

    @property
    def is_worth_it(self) -> bool:
        total = self.used_bytes + self.free_bytes
        return self.free_bytes > MIN_FREE_BYTES and self.free_bytes > MIN_FREE_RATIO * total


def compact_database(database: Database, say: Say, then: Callable[[], None] | None = None) -> None:
    """On the thread that writes. Raises StoreError; then the file is the one that it was.

    `then` is called when the fresh file is in place and not open yet.
    """
    path = database.path
    before = path.stat().st_size
    fresh = path.with_name(path.name + SUFFIX)
    remove_leftovers(path)
    try:
        with database.use() as connection:
            rows = write_fresh(database, connection, fresh, say)
    except duckdb.Error as error:
        raise explain(path, error) from error
    else:
        database.reopen(between=lambda: _swap(path, fresh, then))
    finally:
        remove_leftovers(path)
    say(Compacted(bytes_before=before, bytes_after=path.stat().st_size, rows=rows))


def write_fresh(
    database: Database, connection: duckdb.DuckDBPyConnection, fresh: Path, say: Say
) -> int:
    """The whole database in a file of its own, durable; returns its rows."""
    connection.execute("CHECKPOINT")
    _require_room(fresh.parent, read_space(connection).used_bytes)
    [[name]] = connection.execute(THIS).fetchall()
    database.attach(connection, fresh, "fresh")
    try:
        connection.execute(f'COPY FROM DATABASE "{name}" TO fresh (SCHEMA)')
        tables = [row[0] for row in connection.execute(TABLES).fetchall()]
        total = sum(_count(connection, table) for table in tables)
        rows = 0
        for table in tables:
            rows = _copy_table(connection, table, rows, total, say)
        connection.execute("CHECKPOINT fresh")
    finally:
        connection.execute("DETACH fresh")
    return rows


def read_space(connection: duckdb.DuckDBPyConnection) -> Space:
    [[block_bytes, total, free]] = connection.execute(BLOCKS).fetchall()
    return Space(used_bytes=(total - free) * block_bytes, free_bytes=free * block_bytes)


def remove_leftovers(path: Path) -> None:
    """What a compaction that was killed left beside the file."""
    fresh = path.with_name(path.name + SUFFIX)
    for leftover in (fresh, wal_path(fresh)):
        leftover.unlink(missing_ok=True)
    shutil.rmtree(fresh.with_name(fresh.name + ".tmp"), ignore_errors=True)


def _copy_table(
    connection: duckdb.DuckDBPyConnection, table: str, done: int, total: int, say: Say
) -> int:
    """Returns how many rows are there now; `done` were before."""
    say(Progress(f"writing {table}", done, total, "rows"))
    start = done
    if table in ORDERS:
        days: list[tuple[datetime]] = connection.execute(DAYS.format(table=table)).fetchall()
        for [day] in days:
            statement = COPY_DAY.format(table=table, order=ORDERS[table])
            done += _copied(connection, statement, {"day": day, "until": day + DAY})
            say(Progress(f"writing {table}", done, total, "rows"))
    else:
        done += _copied(connection, COPY.format(table=table), {})
    if done - start != _count(connection, table):
        raise StoreError(
            f"fresh.{table}",
            why=f"has {done - start} rows, the table has {_count(connection, table)}",
            remedy="the store is as it was; run dhmon verify",
        )
    return done


def _copied(
    connection: duckdb.DuckDBPyConnection, statement: str, parameters: dict[str, datetime]
) -> int:
    with transaction(connection):
        return int(connection.execute(statement, parameters).fetchall()[0][0])


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(connection.execute(COUNT.format(table=table)).fetchall()[0][0])


def _swap(path: Path, fresh: Path, then: Callable[[], None] | None) -> None:
    """Between closing the old file and opening the new one."""
    if wal_path(path).exists():
        # Replaying it into the other file would be the end of both.
        raise StoreError(
            str(path),
            why="its log could not be merged, so the fresh file does not take its place",
            remedy="free some space and try again; nothing is lost",
        )
    fresh.replace(path)
    sync_folder(path.parent)
    if then is not None:
        then()


def _require_room(folder: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise StoreError(
            str(folder),
            why=f"{needed_bytes >> 20} MiB are needed for the fresh file, {free >> 20} are free",
            remedy="free some space there and try again",
        )
