"""All rows of a store as Parquet, out of one and into an empty one: between a file and a lake.

`FOLDER/TABLE.parquet`, whole tables, and nothing that the other store makes by itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from collector.errors import StoreError
from collector.store.database import Database
from collector.store.db import quoted, transaction

# In this order: what is there when a transfer is broken off is found by the first of them.
TABLES = (
    "series",
    "samples",
    "samples_minute",
    "samples_hour",
    "probe_results",
    "incident_events",
    "events",
    "rollup_state",
    "rollup_late",
)
# These hold rows in every new store.
REPLACED = frozenset({"rollup_state"})
COUNT = "SELECT count(*) FROM {table}"
WRITE = "COPY (SELECT * FROM {table}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)"
FORGET = "DELETE FROM {table}"
# In parts: a commit to a lake is one file for each day at least, and is not to be endless.
ROWS_IN_COMMIT = 2_000_000
READ = """
INSERT INTO {table} BY NAME
SELECT * EXCLUDE (file_row_number)
FROM read_parquet($path, file_row_number = true)
WHERE file_row_number >= $first AND file_row_number < $first + $count
"""
ROWS = "SELECT count(*) FROM read_parquet($path)"
VERSION = "SELECT max(version) FROM migration"
WRITE_VERSION = "COPY (SELECT max(version) AS version FROM migration) TO '{path}' (FORMAT parquet)"
READ_VERSION = "SELECT version FROM read_parquet($path)"


@dataclass(frozen=True, slots=True)
class Moved:
    """So many rows of a table have been written."""

    table: str
    rows: int


def move_out(database: Database, folder: Path) -> Iterator[Moved]:
    """Write every table of `database` to `folder`, as of one moment. Raises StoreError."""
    if folder.exists() and any(folder.iterdir()):
        raise _refused(folder, "there is something in it", "give an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    with database.use() as cursor:
        cursor.execute("BEGIN TRANSACTION")
        for table in TABLES:
            path = quoted(folder / f"{table}.parquet")
            [[rows]] = cursor.execute(WRITE.format(table=table, path=path)).fetchall()
            yield Moved(table, rows)
        # Last: a folder without it is not whole.
        cursor.execute(WRITE_VERSION.format(path=quoted(folder / "version.parquet")))
        cursor.execute("ROLLBACK")


def move_in(database: Database, folder: Path) -> Iterator[Moved]:
    """Write what `move_out` wrote to the tables of `database`, which must be empty.

    Raises StoreError when they are not, or when the folder is not whole.
    """
    with database.writing() as cursor:
        _check(cursor, database.path, folder)
        for table in TABLES:
            yield Moved(table, _read(cursor, table, folder / f"{table}.parquet"))
        database.number_events()


def _check(cursor: duckdb.DuckDBPyConnection, path: Path, folder: Path) -> None:
    version = folder / "version.parquet"
    if not version.exists():
        raise _refused(folder, "it is no whole export", "make it anew: dhmon move out FOLDER")
    [[theirs]] = cursor.execute(READ_VERSION, {"path": str(version)}).fetchall()
    [[ours]] = cursor.execute(VERSION).fetchall()
    if theirs != ours:
        raise _refused(
            folder,
            f"it has schema version {theirs}, the store has {ours}",
            "use the same dhgate-monitor on both sides",
        )
    for table in TABLES:
        [[rows]] = cursor.execute(COUNT.format(table=table)).fetchall()
        if rows and table not in REPLACED:
            raise _refused(
                path, f"there are {rows} rows in {table}", "move into a store that is new"
            )


def _read(cursor: duckdb.DuckDBPyConnection, table: str, path: Path) -> int:
    """Commit after commit, so that other collectors come between."""
    [[rows]] = cursor.execute(ROWS, {"path": str(path)}).fetchall()
    if table in REPLACED:
        cursor.execute(FORGET.format(table=table))
    for first in range(0, rows, ROWS_IN_COMMIT):
        part = {"path": str(path), "first": first, "count": ROWS_IN_COMMIT}
        with transaction(cursor):
            cursor.execute(READ.format(table=table), part)
    return int(rows)


def _refused(what: Path, why: str, remedy: str) -> StoreError:
    return StoreError(str(what), why=why, remedy=remedy)
