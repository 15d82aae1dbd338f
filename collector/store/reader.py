"""Queries for the API: own threads, own cursors, rows as frozen objects by column name."""

import asyncio
import contextvars
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from collector.errors import StoreError
from collector.store.db import explain
from collector.store.meters import StoreMeters

Row = TypeVar("Row")
THREADS = 2
TIMEOUT_SECONDS = 10.0


class Reader:
    """A reader never waits for the writer: each query sees the last commit before it began."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, path: Path, meters: StoreMeters
    ) -> None:
        self._connection = connection
        self._path = path
        self._meters = meters
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store-reader")
        self._local = threading.local()

    async def fetch(
        self, row_type: type[Row], sql: str, parameters: Mapping[str, object]
    ) -> list[Row]:
        """All rows of `sql`, each as `row_type(**columns)`.

        Raises StoreError when the query fails or takes longer than TIMEOUT_SECONDS.
        """
        running: list[duckdb.DuckDBPyConnection] = []
        loop = asyncio.get_running_loop()
        in_context = contextvars.copy_context().run
        query = loop.run_in_executor(
            self._threads, in_context, self._fetch, row_type, sql, parameters, running
        )
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await asyncio.shield(query)
        except TimeoutError:
            if running:
                running[0].interrupt()
            raise StoreError(
                str(self._path),
                why=f"a query took longer than {TIMEOUT_SECONDS:g} s and was cancelled",
                remedy="ask for a shorter span of time",
            ) from None

    def _fetch(
        self,
        row_type: type[Row],
        sql: str,
        parameters: Mapping[str, object],
        running: list[duckdb.DuckDBPyConnection],
    ) -> list[Row]:
        cursor = self._cursor()
        running.append(cursor)
        try:
            with self._meters.operation("SELECT"):
                rows: list[tuple[Any, ...]] = cursor.execute(sql, dict(parameters)).fetchall()
        except duckdb.Error as cause:
            raise explain(self._path, cause) from cause
        columns = [column[0] for column in cursor.description or ()]
        return [row_type(**dict(zip(columns, row, strict=True))) for row in rows]

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        if not hasattr(self._local, "cursor"):
            self._local.cursor = self._connection.cursor()
        cursor: duckdb.DuckDBPyConnection = self._local.cursor
        return cursor

    def stop(self) -> None:
        """Wait for the queries in progress; blocks."""
        self._threads.shutdown(wait=True)
