"""The one open file of this process, and cursors of it for as long as they are used."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from collector.store.db import open_database, quoted

# How long queries in progress may still run before a reopening ends them.
GRACE_SECONDS = 2.0


class Database:
    """Every thread takes a cursor of its own with `use`; `reopen` waits until none is in use."""

    def __init__(self, path: Path) -> None:
        """Raises StoreError when the file cannot be opened; blocks."""
        self.path = path
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
                self._connection = self._open()
            cursor = self._connection.cursor()
            self._in_use.add(cursor)
        try:
            yield cursor
        finally:
            cursor.close()
            with self._changed:
                self._in_use.discard(cursor)
                self._changed.notify_all()

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
                self._connection = self._open()
            finally:
                self._is_closing = False
                self._changed.notify_all()

    def attach(self, connection: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
        """A second file beside this one, for the length of a piece of work."""
        connection.execute(f"ATTACH '{quoted(path)}' AS {name}")

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
