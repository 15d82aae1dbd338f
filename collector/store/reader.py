"""Queries: own threads, own cursors, a time limit, and room for people's beside our own.

Our own queries are few, known and quick. Those of people may be anything: they have other threads,
of lower priority, and only so many are admitted that neither the writer nor our own have to wait.
"""

import asyncio
import contextvars
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import duckdb

from collector.errors import QueryError, QueryTimeoutError, ReaderBusyError, StoreError
from collector.store.database import Database
from collector.store.meters import StoreMeters
from collector.store.query_watch import QueryWatch, Running
from collector.store.result import Result, Statement
from collector.store.sandbox import admit
from common.nice import be_nice

Row = TypeVar("Row")
Outcome = TypeVar("Outcome")
Plan = Callable[[duckdb.DuckDBPyConnection], Statement]
THREADS = 2
TIMEOUT_SECONDS = 10.0
PEOPLE_THREADS = 2
PEOPLE_WAITING = 14
# Of DuckDB's whole memory, what queries of people may take together of the kind that cannot be
# moved to disk. Where there is none left a commit fails, and that may end the database.
PEOPLE_SHARE = 0.3
# How long an answer waits for a query that cannot be interrupted at once.
GRACE_SECONDS = 1.0
MEMORY_LIMIT = "SELECT current_setting('memory_limit')"
UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
# These tell of the store, not of the query.
OURS = (
    duckdb.IOException,
    duckdb.ConnectionException,
    duckdb.InternalException,
    duckdb.FatalException,
)


@dataclass(frozen=True, slots=True)
class Query:
    """What people ask: SQL of theirs for the sandbox, or a plan of ours that makes a statement."""

    asked: Statement | Plan
    max_rows: int


class Reader:
    """A reader never waits for the writer: each query sees the last commit before it began."""

    def __init__(self, database: Database, meters: StoreMeters) -> None:
        self._database = database
        self._path = database.path
        self._meters = meters
        with database.use() as cursor:
            memory = _bytes(cursor.execute(MEMORY_LIMIT).fetchall()[0][0])
        self._people_bytes = int(memory * PEOPLE_SHARE)
        self._watch = QueryWatch(database, self._people_bytes)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store-reader")
        self._people = ThreadPoolExecutor(
            PEOPLE_THREADS, thread_name_prefix="store-people", initializer=be_nice
        )
        self._admitted = 0

    async def fetch(
        self, row_type: type[Row], sql: str, parameters: Mapping[str, object]
    ) -> list[Row]:
        """All rows of `sql`, each as `row_type(**columns)`.

        Raises StoreError when the query fails or takes longer than TIMEOUT_SECONDS.
        """

        def work(running: Running) -> list[Row]:
            with self._watched(running) as cursor:
                rows: list[tuple[Any, ...]] = cursor.execute(sql, dict(parameters)).fetchall()
                columns = [column[0] for column in cursor.description or ()]
            return [row_type(**dict(zip(columns, row, strict=True))) for row in rows]

        return await self._in(self._threads, _running(greedy=False), work)

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Room for one query of people, from its question until its answer has been sent.

        Raises ReaderBusyError when there is none.
        """
        if self._admitted >= PEOPLE_THREADS + PEOPLE_WAITING:
            raise ReaderBusyError(
                "the query",
                why=f"{self._admitted} others are being answered",
                remedy="ask again in a second",
            )
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1

    async def answer(self, query: Query, use: Callable[[Result], Outcome]) -> Outcome:
        """What `use` makes of the result, in a thread for people's queries; inside `admitted`.

        A query whose caller is cancelled is stopped. Raises QueryError when it is wrong or takes
        too much memory, QueryTimeoutError after TIMEOUT_SECONDS, waiting included.
        """

        def work(running: Running) -> Outcome:
            with self._watched(running) as cursor, self._read_only(cursor, query):
                asked = query.asked
                statement = asked if isinstance(asked, Statement) else asked(cursor)
                return use(Result(cursor, statement, query.max_rows))

        return await self._in(self._people, _running(greedy=True), work)

    def stop(self) -> None:
        """Wait for the queries in progress; blocks."""
        self._people.shutdown(wait=True, cancel_futures=True)
        self._threads.shutdown(wait=True)
        self._watch.close()

    async def _in(
        self, threads: ThreadPoolExecutor, running: Running, work: Callable[[Running], Outcome]
    ) -> Outcome:
        in_context = contextvars.copy_context().run
        query = asyncio.get_running_loop().run_in_executor(threads, in_context, work, running)
        # It may end after nobody waits for it any more; asyncio would complain.
        query.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            async with asyncio.timeout(running.deadline - time.monotonic() + GRACE_SECONDS):
                return await asyncio.shield(query)
        except TimeoutError:
            running.stop("time")
            query.cancel()
            raise self._stopped("time") from None
        except asyncio.CancelledError:
            running.stop("left")
            query.cancel()
            raise

    @contextmanager
    def _watched(self, running: Running) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor for a query that is looked after; what goes wrong gets its name."""
        with self._database.use() as cursor:
            if running.reason is not None:
                raise self._stopped(running.reason)
            running.cursor = cursor
            self._watch.add(running)
            try:
                with self._meters.operation("SELECT"):
                    yield cursor
            except duckdb.Error as cause:
                raise self._explained(running, cause) from cause
            finally:
                self._watch.remove(running)

    @contextmanager
    def _read_only(self, cursor: duckdb.DuckDBPyConnection, query: Query) -> Iterator[None]:
        if isinstance(query.asked, Statement):
            admit(cursor, query.asked.sql)
        cursor.execute("BEGIN TRANSACTION READ ONLY")
        try:
            yield
        finally:
            with suppress(duckdb.Error):
                if hasattr(cursor, "abort"):
                    cursor.abort()
                cursor.execute("ROLLBACK")

    def _explained(self, running: Running, cause: duckdb.Error) -> QueryError | StoreError:
        if isinstance(cause, duckdb.InterruptException):
            return self._stopped(running.reason or "reopened")
        if not running.greedy or isinstance(cause, OURS):
            return self._database.explain(cause)
        if isinstance(cause, duckdb.OutOfMemoryException):
            return self._stopped("memory")
        why = f"fails: {self._database.told(cause)}"
        return QueryError("the query", why=why, remedy="correct it and ask again")

    def _stopped(self, reason: str) -> QueryError | StoreError:
        if reason == "memory":
            return QueryError(
                "the query",
                why=f"takes more memory than the {self._people_bytes // 10**6} MB that there are",
                remedy="ask for less at once",
            )
        if reason == "reopened":
            return ReaderBusyError(
                self._path.name,
                why="the file is being opened again",
                remedy="ask again in a second",
            )
        return QueryTimeoutError(
            self._path.name,
            why=f"a query took longer than {TIMEOUT_SECONDS:g} s and was cancelled",
            remedy="ask for a shorter span of time",
        )


def _running(*, greedy: bool) -> Running:
    return Running(deadline=time.monotonic() + TIMEOUT_SECONDS, greedy=greedy)


def _bytes(text: str) -> int:
    """Bytes in DuckDB's spelling, such as "488.2 MiB"."""
    number, _, unit = text.partition(" ")
    return int(float(number) * UNITS[unit])
