"""The one open file of this process, and cursors of it for as long as they are used."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from collector.errors import StoreError
from collector.model.event import ReceivedEvents
from collector.model.sample import Labels
from collector.store.db import explain, open_database, quoted
from collector.store.insert import insert_events
from collector.store.lockdown import lock_down
from collector.store.migrate import Migration, known_migrations

# How long queries in progress may still run before a reopening ends them.
GRACE_SECONDS = 2.0


class Database:
    """Every thread takes a cursor of its own with `use`; `reopen` waits until none is in use.

    `is_shared`: other collectors write to it as well. `origin`: labels that tell them apart.
    `own_settings`: what its cursors have to set even when it is locked down.
    """

    is_shared = False
    own_settings: tuple[str, ...] = ()
    origin: Labels = ()

    def __init__(self, path: Path) -> None:
        """Raises StoreError when the file cannot be opened; blocks."""
        self.path = path
        self.openings = 1
        self._folders: list[str] | None = None
        self._connection: duckdb.DuckDBPyConnection | None = self._open()
        self._changed = threading.Condition()
        self._in_use: set[duckdb.DuckDBPyConnection] = set()
        self._is_closing = False

    @contextmanager
    def use(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor for this thread; waits while the file is being reopened."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_closing)
            if self._connection is None:
                self._connection = self._opened()
            cursor = self._connection.cursor()
            self._in_use.add(cursor)
        try:
            yield cursor
        finally:
            cursor.close()
            with self._changed:
                self._in_use.discard(cursor)
                self._changed.notify_all()

    @contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """As `use`, for what changes rows: nobody else does meanwhile."""
        with self.use() as cursor:
            yield cursor

    def migrations(self) -> list[Migration]:
        return known_migrations()

    def explain(self, error: duckdb.Error) -> StoreError:
        return explain(self.path, error)

    def insert_events(
        self, connection: duckdb.DuckDBPyConnection, events: Sequence[ReceivedEvents]
    ) -> list[int]:
        """See `insert.insert_events`."""
        return insert_events(connection, events)

    def number_events(self) -> None:
        """After rows came in bulk: what else is known of each event."""

    def told(self, error: duckdb.Error) -> str:
        """What it says, fit for strangers."""
        return str(error).replace(str(self.path.parent), "…")

    def measure(self) -> None:
        """Look up what `size_bytes` tells, where that takes its time."""

    def size_bytes(self) -> int:
        """The file and its write-ahead log."""
        wal = self.path.with_name(self.path.name + ".wal")
        return sum(file.stat().st_size for file in (self.path, wal) if file.exists())

    def reopen(self, between: Callable[[], None] | None = None) -> None:
        """Close the file, call `between`, open it again; blocks until no cursor is in use.

        Not for a thread that has a cursor in use. Raises StoreError when it cannot be opened; then
        the next use tries again.
        """
        with self._changed:
            self._close()
            try:
                if between is not None:
                    between()
                self._connection = self._opened()
                self.openings += 1
            finally:
                self._is_closing = False
                self._changed.notify_all()

    def attach(self, connection: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
        """A second file beside this one, for the length of a piece of work."""
        connection.execute(f"ATTACH '{quoted(path)}' AS {name}")

    def lock_down(self, folders: Sequence[Path] = ()) -> None:
        """From now on no query reaches a file outside the store's folder and `folders`, the
        network, an extension or a setting, whoever wrote it."""
        self._folders = [self._home(), *map(str, folders)]
        with self._changed:
            if self._connection is not None:
                self._lock_down(self._connection, self._folders)

    def _opened(self) -> duckdb.DuckDBPyConnection:
        connection = self._open()
        if self._folders is not None:
            self._lock_down(connection, self._folders)
        return connection

    def _home(self) -> str:
        return str(self.path.parent)

    def _lock_down(self, connection: duckdb.DuckDBPyConnection, folders: Sequence[str]) -> None:
        lock_down(connection, folders, settings=self.own_settings)

    def _open(self) -> duckdb.DuckDBPyConnection:
        return open_database(self.path)

    def close(self) -> None:
        """End what runs, write the log into the file, close it."""
        with self._changed:
            self._close()

    def _close(self) -> None:
        self._is_closing = True
        if not self._changed.wait_for(lambda: not self._in_use, GRACE_SECONDS):
            for cursor in self._in_use:
                cursor.interrupt()
            self._changed.wait_for(lambda: not self._in_use)
        if self._connection is not None:
            self._connection.close()
            self._connection = None
