"""When the write-ahead log is merged into the file: between two commits, and never while held."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Never

import duckdb
import structlog

from collector.errors import StoreError
from collector.store.meters import StoreMeters
from common.background import pause

# Commits wait as long as a checkpoint takes, whichever thread runs it: some 150 ms for this much.
MAX_WAL_BYTES = 64 << 20
MAX_SECONDS = 600.0
LOOK_SECONDS = 1.0
# A checkpoint writes about what is in the log, and one that finds no room ends DuckDB's database.
SPARE_BYTES = 4 << 20
Write = Callable[[Callable[[duckdb.DuckDBPyConnection], float]], Awaitable[float]]
log = structlog.get_logger(__name__)


class Checkpoints:
    """The one place that checkpoints an open store."""

    def __init__(self, path: Path, write: Write, meters: StoreMeters) -> None:
        self._wal = wal_path(path)
        self._write = write
        self._meters = meters
        self._turn = asyncio.Lock()
        meters.watch_wal(self.wal_bytes)

    def wal_bytes(self) -> int:
        try:
            return self._wal.stat().st_size
        except FileNotFoundError:
            return 0

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """There is no checkpoint in the block, unless it makes one itself."""
        async with self._turn:
            yield

    async def checkpoint(self) -> None:
        """Raises StoreError; then the log keeps everything, and the next one tries again."""
        async with self._turn:
            await asyncio.to_thread(self._require_room)
            asked = time.perf_counter()
            stall = await self._write(_checkpoint)
            self._meters.checkpointed(time.perf_counter() - asked, stall)

    def _require_room(self) -> None:
        free = shutil.disk_usage(self._wal.parent).free
        if free < self.wal_bytes() + SPARE_BYTES:
            raise StoreError(
                str(self._wal),
                why=f"there is no room to merge {self.wal_bytes()} bytes, {free} are free",
                remedy="free space on that disk",
            )

    async def keep_checkpointing(self) -> Never:
        """Checkpoint when the log is long, and when the last one was long ago."""
        last = time.monotonic()
        while True:
            await pause(LOOK_SECONDS)
            size = self.wal_bytes()
            is_due = size > MAX_WAL_BYTES or time.monotonic() - last > MAX_SECONDS
            if not size or not is_due:
                continue
            try:
                await self.checkpoint()
            except StoreError as error:
                log.warning("the log stays as long as it is", bytes=size, error=str(error))
                await pause(LOOK_SECONDS * 10)
            else:
                last = time.monotonic()


def wal_path(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


def _checkpoint(connection: duckdb.DuckDBPyConnection) -> float:
    """Seconds in which nothing else was written."""
    started = time.perf_counter()
    connection.execute("CHECKPOINT")
    return time.perf_counter() - started
