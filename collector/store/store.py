"""The store as the rest of the collector knows it: one door in, one door out."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

import duckdb
import structlog
from pydantic import SecretStr

from collector.errors import BackupError, StoreError
from collector.model.event import ReceivedEvents
from collector.model.sample import Labels
from collector.store.batches import Batch
from collector.store.checkpoint import Checkpoints
from collector.store.compact import remove_leftovers
from collector.store.database import Database
from collector.store.encryption import database_at
from collector.store.insert import check_event_keys
from collector.store.lake import Lake, LakeDatabase
from collector.store.meters import StoreMeters
from collector.store.migrate import migrate
from collector.store.migration_backup import copied_before_migrating
from collector.store.reader import Query, Reader
from collector.store.result import Result
from collector.store.writer import Writer
from common.telemetry import Telemetry

Row = TypeVar("Row")
Outcome = TypeVar("Outcome")
log = structlog.get_logger(__name__)


class Store:
    """DuckDB behind one writer thread and a few readers."""

    def __init__(self, database: Database, meters: StoreMeters) -> None:
        self.path = database.path
        self.meters = meters
        self._database = database
        self._writer = Writer(database, meters)
        self._reader = Reader(database, meters)
        self.checkpoints = Checkpoints(database.path, self.write, meters)
        # Backup, verification and compaction: one of them at a time.
        self.upkeep = asyncio.Lock()

    @property
    def is_shared(self) -> bool:
        """Whether other collectors write to it as well."""
        return self._database.is_shared

    def need_file(self) -> None:
        """For what works on a file. Raises StoreError where rows are in a lake."""
        if self.is_shared:
            raise StoreError(
                str(self.path),
                why="this works on a DuckDB file, not on a lake",
                remedy="see docs/scale.md for what does the same for a lake",
            )

    @property
    def origin(self) -> Labels:
        """Labels for what is measured of this machine, where the store is shared."""
        return self._database.origin

    async def append(self, *batches: Batch) -> None:
        """Write all rows in one transaction; returns once they are on disk.

        Raises StoreBusyError when the queue is full, StoreError when nothing was kept.
        """
        await self._writer.append(batches)

    async def append_events(self, events: Sequence[ReceivedEvents]) -> frozenset[int]:
        """As `append`; returns the places of the events that the store had already."""
        return await self._writer.append_events(events)

    async def write(self, work: Callable[[duckdb.DuckDBPyConnection], Outcome]) -> Outcome:
        """Run `work` on the writer's thread between two commits; it makes its own transaction."""

        def with_cursor(database: Database) -> Outcome:
            with database.writing() as connection:
                return work(connection)

        return await self.exclusively(with_cursor)

    async def exclusively(self, work: Callable[[Database], Outcome]) -> Outcome:
        """As `write`, for work that closes the file or opens it again."""
        outcome: Outcome = await self._writer.run(work)
        return outcome

    async def aside(self, work: Callable[[duckdb.DuckDBPyConnection], Outcome]) -> Outcome:
        """Run `work`, which only reads, on a thread of its own: for what takes its time."""

        def with_cursor() -> Outcome:
            with self._database.use() as cursor:
                try:
                    return work(cursor)
                except duckdb.Error as error:
                    raise self._database.explain(error) from error

        return await asyncio.to_thread(with_cursor)

    async def fetch(
        self, row_type: type[Row], sql: str, parameters: Mapping[str, object] | None = None
    ) -> list[Row]:
        """All rows of a query, each as `row_type` by column name."""
        return await self._reader.fetch(row_type, sql, parameters or {})

    def admitted(self) -> AbstractContextManager[None]:
        """Room for one query of people. Raises ReaderBusyError when there is none."""
        return self._reader.admitted()

    async def answer(self, query: Query, use: Callable[[Result], Outcome]) -> Outcome:
        """What `use` makes of a people's query, off the event loop; inside `admitted`."""
        return await self._reader.answer(query, use)

    async def ping(self) -> None:
        """Answer a query. Raises StoreError when the store cannot."""
        await self.fetch(dict, "SELECT 1 AS one")

    def size_bytes(self) -> int:
        """What the rows take on disk, or in the bucket."""
        return self._database.size_bytes()

    def start(self) -> None:
        self._writer.start()

    def close(self) -> None:
        """Write what waits, merge the log into the file, close it; blocks."""
        self._writer.stop()
        self._reader.stop()
        self._database.close()


@asynccontextmanager
async def open_store(
    place: Path | Lake,
    telemetry: Telemetry,
    key: SecretStr | None = None,
    *,
    archive: Path | None = None,
) -> AsyncIterator[Store]:
    """The store at `place`, migrated; closed at the end with nothing lost.

    Beside its own folder its queries reach `archive`, and nothing else.
    """
    meters = StoreMeters(telemetry)
    store = await asyncio.to_thread(_open, place, key, meters, archive)
    store.start()
    try:
        yield store
    finally:
        await asyncio.to_thread(store.close)


def _copied(
    database: Database, connection: duckdb.DuckDBPyConnection
) -> AbstractContextManager[None]:
    """A lake keeps its snapshots; a file is copied before it is migrated."""
    if database.is_shared:
        return nullcontext()
    remove_leftovers(database.path)
    return copied_before_migrating(connection, database.path, database.migrations())


def _open(
    place: Path | Lake, key: SecretStr | None, meters: StoreMeters, archive: Path | None
) -> Store:
    database = LakeDatabase(place) if isinstance(place, Lake) else database_at(place, key)
    try:
        with database.writing() as connection, _copied(database, connection):
            for migration in migrate(connection, database.path, database.migrations()):
                log.info("migration applied", version=migration.version, name=migration.name)
            # A lake finds its events by numbers of its own, whichever DuckDB wrote them.
            if not database.is_shared and check_event_keys(connection):
                log.info("event keys renewed: this DuckDB hashes differently")
        database.lock_down([] if archive is None else [archive.absolute()])
    except (StoreError, BackupError):
        database.close()
        raise
    except duckdb.Error as error:
        database.close()
        raise database.explain(error) from error
    return Store(database, meters)
