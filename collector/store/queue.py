"""What waits to be written: bounded in rows and in bytes, taken out in groups."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collector.errors import StoreBusyError, StoreError
from collector.model.event import ReceivedEvents
from collector.store.batches import Batch
from collector.store.database import Database

MAX_QUEUED_ROWS = 1_000_000
MAX_QUEUED_BYTES = 256 << 20
MAX_ROWS_IN_COMMIT = 250_000
MAX_BYTES_IN_COMMIT = 64 << 20

# Where several wait for one commit, more are on their way: a commit costs the same for all of them.
LINGER_SECONDS = 0.005

Work = Callable[[Database], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One caller's rows, or work of its own, and where to tell it the outcome."""

    done: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    rows: int = 0
    size_bytes: int = 0
    batches: Sequence[Batch] = ()
    events: Sequence[ReceivedEvents] = ()
    work: Work | None = None


class WriteQueue:
    """`put` is for the event loop, `next_group` for the writer's thread."""

    def __init__(self, path: Path, on_change: Callable[[int, int], None]) -> None:
        """`on_change` is told the rows and bytes that wait."""
        self._path = path
        self._on_change = on_change
        self._waiting: deque[Waiting] = deque()
        self._rows = 0
        self._bytes = 0
        self._is_closed = False
        self._callers = 0
        self._changed = threading.Condition()

    def put(self, waiting: Waiting) -> None:
        """Raises StoreBusyError when the queue is full, StoreError when it is closed."""
        with self._changed:
            self._refuse(waiting)
            self._waiting.append(waiting)
            self._count(waiting.rows, waiting.size_bytes)
            self._changed.notify()

    def close(self) -> None:
        """Nothing is taken any more; what waits is still handed out."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def next_group(self) -> list[Waiting]:
        """Rows up to a full commit, or one piece of work; empty when nothing will come any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            lingers = self._callers > 1 and self._rows < MAX_ROWS_IN_COMMIT and not self._is_closed
        if lingers:
            # Asleep, not waiting for a notice: each would cost the event loop a switch of threads.
            time.sleep(LINGER_SECONDS)
        with self._changed:
            group: list[Waiting] = []
            rows = size_bytes = 0
            while self._waiting and self._fits(group, rows, size_bytes):
                waiting = self._waiting.popleft()
                rows += waiting.rows
                size_bytes += waiting.size_bytes
                group.append(waiting)
            self._callers = len(group)
            self._count(-rows, -size_bytes)
            return group

    def _fits(self, group: list[Waiting], rows: int, size_bytes: int) -> bool:
        if not group:
            return True
        following = self._waiting[0]
        return (
            group[0].work is None
            and following.work is None
            and rows + following.rows <= MAX_ROWS_IN_COMMIT
            and size_bytes + following.size_bytes <= MAX_BYTES_IN_COMMIT
        )

    def _refuse(self, waiting: Waiting) -> None:
        if self._is_closed:
            raise StoreError(str(self._path), why="the store is closing", remedy="send it again")
        is_full = (
            self._rows + waiting.rows > MAX_QUEUED_ROWS
            or self._bytes + waiting.size_bytes > MAX_QUEUED_BYTES
        )
        if is_full:
            raise StoreBusyError(
                str(self._path),
                why=f"{self._rows} rows ({self._bytes} bytes) wait to be written",
                remedy="send it again in a second",
            )

    def _count(self, rows: int, size_bytes: int) -> None:
        self._rows += rows
        self._bytes += size_bytes
        self._on_change(self._rows, self._bytes)
