"""The one thread that writes: joins what waits into one transaction, then tells every caller."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import structlog

from collector.errors import StoreBusyError, StoreError
from collector.store.batches import Batch, concatenate
from collector.store.db import explain
from collector.store.meters import StoreMeters

MAX_QUEUED_ROWS = 1_000_000
MAX_ROWS_IN_COMMIT = 100_000
DEFAULT_INSERT = "INSERT INTO {table} BY NAME SELECT * FROM batch"
# A series is known by its number: meeting it again is the usual case.
INSERT_SERIES = """
INSERT INTO series
SELECT series_id, metric, CAST(CAST(labels AS JSON) AS MAP(VARCHAR, VARCHAR)) FROM batch
ON CONFLICT DO NOTHING
"""
TABLES = ("series", "samples", "probe_results", "incident_events")
INSERTS = {table: DEFAULT_INSERT.format(table=table) for table in TABLES} | {
    "series": INSERT_SERIES
}
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Waiting:
    """One caller's rows, and where to tell it that they are on disk."""

    batches: Sequence[Batch]
    rows: int
    done: asyncio.Future[None]
    loop: asyncio.AbstractEventLoop


class Writer:
    """Owns `connection` from `start` to `stop`; `append` is for coroutines."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, path: Path, meters: StoreMeters
    ) -> None:
        self._connection = connection
        self._path = path
        self._meters = meters
        self._queue: deque[Waiting] = deque()
        self._queued_rows = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="store-writer")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what is queued, then end; blocks."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    async def append(self, batches: Sequence[Batch]) -> None:
        """Return once all rows are on disk, in one transaction.

        Raises StoreBusyError when the queue is full, StoreError when the transaction failed; then
        none of the rows are there.
        """
        rows = sum(batch.row_count for batch in batches)
        if rows == 0:
            return
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        with self._changed:
            self._refuse_when_full(rows)
            self._queue.append(Waiting(batches, rows, done, loop))
            self._queued_rows += rows
            self._meters.queue_rows.set(self._queued_rows)
            self._changed.notify()
        await done

    def _refuse_when_full(self, rows: int) -> None:
        if self._stopping:
            raise StoreError(str(self._path), why="the store is closing", remedy="send it again")
        if self._queued_rows + rows > MAX_QUEUED_ROWS:
            raise StoreBusyError(
                str(self._path),
                why=f"{self._queued_rows} rows wait to be written",
                remedy="send it again in a second",
            )

    def _run(self) -> None:
        while group := self._next_group():
            self._commit(group)

    def _next_group(self) -> list[Waiting]:
        """All that waits, up to a full commit; empty when there is nothing left to do."""
        with self._changed:
            while not self._queue and not self._stopping:
                self._changed.wait()
            group: list[Waiting] = []
            rows = 0
            while self._queue and (not group or rows + self._queue[0].rows <= MAX_ROWS_IN_COMMIT):
                waiting = self._queue.popleft()
                rows += waiting.rows
                group.append(waiting)
            self._queued_rows -= rows
            self._meters.queue_rows.set(self._queued_rows)
            return group

    def _commit(self, group: list[Waiting]) -> None:
        by_table: dict[str, list[Batch]] = {}
        for waiting in group:
            for batch in waiting.batches:
                by_table.setdefault(batch.table, []).append(batch)
        started = time.perf_counter()
        error: StoreError | None = None
        try:
            with self._meters.operation("INSERT"):
                self._transaction([concatenate(batches) for batches in by_table.values()])
        except Exception as cause:
            # Whatever it was: the callers must hear of it, and the thread must serve the next.
            self._roll_back()
            error = self._explain(cause)
            log.exception("commit failed", rows=sum(waiting.rows for waiting in group))
        self._meters.committed(by_table, time.perf_counter() - started, error)
        for waiting in group:
            waiting.loop.call_soon_threadsafe(_settle, waiting.done, error)

    def _explain(self, cause: Exception) -> StoreError:
        if isinstance(cause, duckdb.Error):
            return explain(self._path, cause)
        return StoreError(
            str(self._path), why=f"the rows cannot be written: {cause}", remedy="report this error"
        )

    def _transaction(self, batches: list[Batch]) -> None:
        self._connection.execute("BEGIN TRANSACTION")
        for batch in batches:
            self._connection.register("batch", batch.rows)
            try:
                self._connection.execute(INSERTS[batch.table])
            finally:
                self._connection.unregister("batch")
        self._connection.execute("COMMIT")

    def _roll_back(self) -> None:
        try:
            self._connection.execute("ROLLBACK")
        except duckdb.TransactionException:
            log.debug("the failed transaction had ended by itself")


def _settle(done: asyncio.Future[None], error: StoreError | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
