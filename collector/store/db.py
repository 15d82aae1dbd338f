"""The only place that opens DuckDB."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from collector.errors import StoreError

# Two threads, because a collector shares a small machine with what it watches. No checkpoint of
# DuckDB's own: it would run inside somebody's commit, and on a full disk it ends the database.
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "threads": 2,
    "memory_limit": "512MB",
    "wal_autocheckpoint": "1TB",
    # Gives freed memory back: a tenth of a small collector's.
    "allocator_background_threads": True,
}


def open_database(path: Path) -> duckdb.DuckDBPyConnection:
    """Open or create the store's file; blocks. Raises StoreError with what to do about it."""
    make_folder(path)
    try:
        connection = duckdb.connect(str(path), config=CONFIG)
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
    except duckdb.Error as error:
        raise explain(path, error) from error
    return connection


def make_folder(path: Path) -> None:
    """The one that the file is in. Raises StoreError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from None


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """The block is on disk when it ends, or left no trace when it raises."""
    connection.execute("BEGIN TRANSACTION")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


def roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    """End a failed transaction, if it has not ended by itself."""
    with suppress(duckdb.TransactionException, duckdb.FatalException):
        connection.execute("ROLLBACK")


def quoted(path: Path) -> str:
    """Within the single quotes of a SQL string."""
    return str(path).replace("'", "''")


def explain(path: Path, error: duckdb.Error) -> StoreError:
    """DuckDB's complaint in the words of someone who has to act on it."""
    text = str(error)
    if "Conflicting lock" in text:
        holder = text.partition("held in ")[2].partition(". See")[0]
        return StoreError(
            str(path),
            why=f"another process has it open ({holder})",
            remedy="stop that process or set collector.data to another file",
        )
    if "Permission denied" in text or "Read-only file system" in text:
        return _unwritable(path, text.rpartition(": ")[2])
    if "without a key" in text:
        return StoreError(
            str(path),
            why="it is encrypted",
            remedy="set collector.encryption_key to the key that it was encrypted with",
        )
    if any(sign in text for sign in ("not a valid DuckDB", "Corrupt", "enough bytes", "checksum")):
        return StoreError(
            str(path),
            why="the file is damaged or is not a DuckDB file",
            remedy="move it away and put a backup in its place, or start with a new file",
        )
    return StoreError(str(path), why=text, remedy="check the file, the disk and its free space")


def _unwritable(path: Path, why: str) -> StoreError:
    return StoreError(
        str(path),
        why=f"the data folder cannot be written ({why})",
        remedy=f"give this user write permission on {path.parent} or set collector.data",
    )
