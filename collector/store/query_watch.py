"""A thread that looks after running queries: it stops those that take too long or too much."""

import threading
import time
from dataclasses import dataclass, field
from typing import Literal

import duckdb

from collector.errors import StoreError
from collector.store.database import Database
from collector.store.lockdown import MAX_SPILLED_BYTES

LOOK_SECONDS = 0.025
# What cannot be moved to disk, such as a list that is being made; and what has been moved there.
# Sorts, joins and groups give memory to the writer as long as there is room on the disk.
IN_USE = """
SELECT
    coalesce(sum(memory_usage_bytes) FILTER (tag IN ('ALLOCATOR', 'EXTENSION')), 0),
    coalesce(sum(temporary_storage_bytes), 0)
FROM duckdb_memory()
"""
MAX_SPILLED_SHARE = 0.5
Reason = Literal["time", "memory", "left"]


@dataclass(eq=False, slots=True)
class Running:
    """A query between its question and its answer; any thread may `stop` it.

    Attributes:
        greedy: it may be stopped for the memory that it takes.
        reason: why it was stopped; None while nobody wants it to stop.
    """

    deadline: float
    greedy: bool
    cursor: duckdb.DuckDBPyConnection | None = None
    reason: Reason | None = None
    started_at: float = field(default_factory=time.monotonic)

    def stop(self, reason: Reason) -> None:
        """Interrupt it, again and again if need be: between two steps DuckDB forgets it."""
        if self.reason is None:
            self.reason = reason
        if self.cursor is not None:
            self.cursor.interrupt()


class QueryWatch:
    """Knows what runs from `add` to `remove`; `max_bytes` is for all greedy queries together."""

    def __init__(self, database: Database, max_bytes: int) -> None:
        self._database = database
        self._max_bytes = max_bytes
        self._running: list[Running] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="store-query-watch", daemon=True)
        self._thread.start()

    def add(self, running: Running) -> None:
        with self._changed:
            self._running.append(running)
            self._changed.notify()

    def remove(self, running: Running) -> None:
        """After this the query is not interrupted any more."""
        with self._changed:
            self._running.remove(running)

    def close(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while self._await_queries():
            with self._changed:
                has_greedy = self._stop_late() > 0
            # Without the lock: the database may have us wait until queries have ended.
            if has_greedy and self._takes_too_much():
                with self._changed:
                    self._stop_greediest()

    def _await_queries(self) -> bool:
        """Wait for the next look; false at the end."""
        with self._changed:
            if self._running:
                self._changed.wait(LOOK_SECONDS)
            while not self._running and not self._stopping:
                self._changed.wait()
            return not self._stopping

    def _stop_late(self) -> int:
        """Returns how many greedy queries go on."""
        now = time.monotonic()
        for running in self._running:
            if running.reason is not None or now >= running.deadline:
                running.stop("time")
        return len(self._greedy())

    def _greedy(self) -> list[Running]:
        return [one for one in self._running if one.greedy and one.reason is None]

    def _stop_greediest(self) -> None:
        """The newest: what has been at work for a while has shown that it needs no more."""
        greedy = self._greedy()
        if greedy:
            max(greedy, key=lambda one: one.started_at).stop("memory")

    def _takes_too_much(self) -> bool:
        try:
            with self._database.use() as cursor:
                [[used, spilled]] = cursor.execute(IN_USE).fetchall()
        except (duckdb.Error, StoreError):
            # A database that is out of order says so to whoever asks it something.
            return False
        return int(used) > self._max_bytes or int(spilled) > MAX_SPILLED_BYTES * MAX_SPILLED_SHARE
