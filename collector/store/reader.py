"""Queries for the API: own threads, own cursors, rows as frozen objects by column name."""

import asyncio
import contextvars
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import duckdb

from collector.errors import StoreError
from collector.store.database import Database
from collector.store.db import explain
from collector.store.meters import StoreMeters

Row = TypeVar("Row")
THREADS = 2
TIMEOUT_SECONDS = 10.0


class Reader:
    """A reader never waits for the writer: each query sees the last commit before it began."""

    def __init__(self, database: Database, meters: StoreMeters) -> None:
        self._database = database
        self._path = database.path
        self._meters = meters
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store-reader")

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
        with self._database.use() as cursor:
            running.append(cursor)
            try:
                with self._meters.operation("SELECT"):
                    rows: list[tuple[Any, ...]] = cursor.execute(sql, dict(parameters)).fetchall()
            except duckdb.Error as cause:
                raise explain(self._path, cause) from cause
            columns = [column[0] for column in cursor.description or ()]
        return [row_type(**dict(zip(columns, row, strict=True))) for row in rows]

    def stop(self) -> None:
        """Wait for the queries in progress; blocks."""
        self._threads.shutdown(wait=True)
