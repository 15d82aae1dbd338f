"""The one thread that writes: joins what waits into one transaction, then tells every caller."""

import asyncio
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import duckdb
import structlog

from collector.errors import StoreError
from collector.model.event import ReceivedEvents
from collector.store.batches import Batch, concatenate
from collector.store.database import Database
from collector.store.db import transaction
from collector.store.insert import insert_batch
from collector.store.meters import StoreMeters
from collector.store.queue import Waiting, Work, WriteQueue
from collector.store.series import KnownSeries

Outcome = TypeVar("Outcome")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settled:
    """What a caller is to be told: an error, or the result."""

    waiting: Waiting
    result: Any = None
    error: BaseException | None = None


class Writer:
    """Writes to `database` from `start` to `stop`; everything else is for coroutines."""

    def __init__(self, database: Database, meters: StoreMeters) -> None:
        self._database = database
        self._meters = meters
        self._series = KnownSeries(database)
        self._queue = WriteQueue(database.path, meters.queued)
        self._thread = threading.Thread(target=self._run, name="store-writer")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what is queued, then end; blocks."""
        self._queue.close()
        self._thread.join()

    async def append(self, batches: Sequence[Batch]) -> None:
        """Return once all rows are on disk, in one transaction.

        Raises StoreBusyError when the queue is full, StoreError when the transaction failed; then
        none of the rows are there.
        """
        rows = sum(batch.row_count for batch in batches)
        if rows:
            size_bytes = sum(batch.rows.nbytes for batch in batches)
            await self._put(rows=rows, size_bytes=size_bytes, batches=batches)

    async def append_events(self, events: Sequence[ReceivedEvents]) -> frozenset[int]:
        """As `append`; returns the places of those that were there already."""
        rows = sum(block.count for block in events)
        if not rows:
            return frozenset()
        size_bytes = sum(len(block.lines) for block in events)
        duplicates: frozenset[int] = await self._put(
            rows=rows, size_bytes=size_bytes, events=events
        )
        return duplicates

    async def run(self, work: Work) -> Any:
        """Return what `work` returns, run on the writer's thread between two commits."""
        return await self._put(work=work)

    def _put(self, **what: Any) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        waiting = Waiting(done=loop.create_future(), loop=loop, **what)
        self._queue.put(waiting)
        return waiting.done

    def _run(self) -> None:
        while group := self._queue.next_group():
            settled = [self._work(group[0])] if group[0].work else self._commit(group)
            # One call for all of a loop: each wakes it up.
            for loop in {one.waiting.loop for one in settled}:
                mine = [one for one in settled if one.waiting.loop is loop]
                loop.call_soon_threadsafe(_settle, mine)

    def _work(self, waiting: Waiting) -> Settled:
        if waiting.work is None:
            raise AssertionError("rows are committed, not worked on")
        try:
            return Settled(waiting, result=waiting.work(self._database))
        except Exception as cause:
            log.exception("work on the store failed")
            return Settled(waiting, error=self._recovered(cause))

    def _commit(self, group: list[Waiting]) -> list[Settled]:
        started = time.perf_counter()
        try:
            with self._meters.operation("INSERT"):
                duplicates = self._transaction(group)
        except Exception as cause:
            # Whatever it was: the callers must hear of it, and the thread must serve the next.
            error = self._recovered(cause)
            log.exception("commit failed", rows=sum(waiting.rows for waiting in group))
            self._meters.failed(group, time.perf_counter() - started)
            return [Settled(waiting, error=error) for waiting in group]
        self._meters.committed(group, len(duplicates), time.perf_counter() - started)
        return _shared_out(group, duplicates)

    def _transaction(self, group: list[Waiting]) -> list[int]:
        by_table: dict[str, list[Batch]] = {}
        for waiting in group:
            for batch in waiting.batches:
                by_table.setdefault(batch.table, []).append(batch)
        events = [event for waiting in group for event in waiting.events]
        duplicates: list[int] = []
        joined = {table: concatenate(batches) for table, batches in by_table.items()}
        series = joined.get("series")
        if series is not None and self._series.has_all(series):
            del joined["series"]
        with self._database.writing() as connection, transaction(connection):
            for batch in joined.values():
                insert_batch(connection, batch)
            if events:
                duplicates = self._database.insert_events(connection, events)
        if series is not None:
            self._series.learn(series)
        return duplicates

    def _recovered(self, cause: Exception) -> BaseException:
        """The error to tell; a database that DuckDB gave up on is opened again first."""
        if isinstance(cause, duckdb.FatalException):
            log.error("the database is opened again", reason=str(cause))
            try:
                self._database.reopen()
            except StoreError as error:
                return error
        if isinstance(cause, duckdb.Error):
            return self._database.explain(cause)
        if isinstance(cause, StoreError):
            return cause
        return StoreError(
            str(self._database.path),
            why=f"the rows cannot be written: {cause}",
            remedy="report this error",
        )


def _shared_out(group: list[Waiting], duplicates: list[int]) -> list[Settled]:
    """To each caller its own: `duplicates` are places among the events of the whole group."""
    settled: list[Settled] = []
    first = taken = 0
    for waiting in group:
        until = first + (waiting.rows if waiting.events else 0)
        following = bisect_left(duplicates, until, taken)
        own = frozenset(place - first for place in duplicates[taken:following])
        settled.append(Settled(waiting, result=own if waiting.events else None))
        first, taken = until, following
    return settled


def _settle(settled: Sequence[Settled]) -> None:
    for one in settled:
        done = one.waiting.done
        if done.done():
            continue
        if one.error is None:
            done.set_result(one.result)
        else:
            done.set_exception(one.error)
