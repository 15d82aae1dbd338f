"""The store as the rest of the collector knows it: one door in, one door out."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import duckdb
import structlog

from collector.errors import StoreError
from collector.store.batches import Batch
from collector.store.db import explain, open_database
from collector.store.meters import StoreMeters
from collector.store.migrate import known_migrations, migrate
from collector.store.reader import Reader
from collector.store.writer import Writer
from common.telemetry import Telemetry

Row = TypeVar("Row")
log = structlog.get_logger(__name__)


class Store:
    """DuckDB behind one writer thread and a few readers."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, path: Path, meters: StoreMeters
    ) -> None:
        self.path = path
        self._connection = connection
        self._writer = Writer(connection, path, meters)
        self._reader = Reader(connection, path, meters)

    async def append(self, *batches: Batch) -> None:
        """Write all rows in one transaction; returns once they are on disk."""
        await self._writer.append(batches)

    async def fetch(
        self, row_type: type[Row], sql: str, parameters: Mapping[str, object] | None = None
    ) -> list[Row]:
        """All rows of a query, each as `row_type` by column name."""
        return await self._reader.fetch(row_type, sql, parameters or {})

    async def ping(self) -> None:
        """Answer a query. Raises StoreError when the store cannot."""
        await self.fetch(dict, "SELECT 1 AS one")

    def size_bytes(self) -> int:
        """The file and its write-ahead log."""
        wal = self.path.with_name(self.path.name + ".wal")
        return sum(file.stat().st_size for file in (self.path, wal) if file.exists())

    def start(self) -> None:
        self._writer.start()

    def close(self) -> None:
        """Write what waits, merge the log into the file, close it; blocks."""
        self._writer.stop()
        self._reader.stop()
        self._connection.close()


@asynccontextmanager
async def open_store(path: Path, telemetry: Telemetry) -> AsyncIterator[Store]:
    """The store at `path`, migrated; closed at the end with nothing lost."""
    store = await asyncio.to_thread(_open, path, StoreMeters(telemetry))
    store.start()
    try:
        yield store
    finally:
        await asyncio.to_thread(store.close)


def _open(path: Path, meters: StoreMeters) -> Store:
    connection = open_database(path)
    try:
        for migration in migrate(connection, path, known_migrations()):
            log.info("migration applied", version=migration.version, name=migration.name)
    except StoreError:
        connection.close()
        raise
    except duckdb.Error as error:
        connection.close()
        raise explain(path, error) from error
    return Store(connection, path, meters)
