"""Backup, verification and compaction of a store at work, and of one that nobody has open."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Never

import duckdb
import structlog
from pydantic import SecretStr

from collector.errors import StoreError
from collector.model.report import Compacted, Report, Say
from collector.store.backup import BackupOptions, copy_beside, prepare
from collector.store.compact import compact_database, read_space
from collector.store.database import Database
from collector.store.encryption import EncryptedDatabase, database_at
from collector.store.lake import Lake, LakeDatabase
from collector.store.store import Store
from collector.store.verify import verify as verify_connection
from common.background import pause

COMPACT_SECONDS = 86_400.0
log = structlog.get_logger(__name__)


async def back_up(store: Store, options: BackupOptions, say: Say) -> None:
    """The store as it is now, whatever is written meanwhile. Raises BackupError, StoreError.

    Cancelled, it leaves the folder as it was, but for blocks that the next backup finds there.
    """
    store.need_file()
    async with store.checkpoints.held():
        request = await store.write(lambda connection: prepare(connection, store.path, options))
        await copy_beside(request, say)


async def verify(store: Store, say: Say) -> None:
    store.need_file()
    await store.aside(lambda cursor: verify_connection(cursor, say))


async def compact(store: Store, say: Say) -> None:
    """Rows that come meanwhile wait. Raises StoreError; then the file is the one that it was."""
    store.need_file()
    async with store.checkpoints.held():
        await store.exclusively(lambda database: compact_database(database, say))


async def keep_compacting(store: Store) -> Never:
    """Compact when most of a large file is free; looks once a day."""
    while True:
        await pause(COMPACT_SECONDS)
        async with store.upkeep:
            try:
                if (await store.aside(read_space)).is_worth_it:
                    await compact(store, _log)
            except StoreError as error:
                log.warning("the store is not compacted", error=str(error))


async def back_up_closed(
    path: Path, key: SecretStr | None, options: BackupOptions, say: Say
) -> None:
    """As `opened`, and BackupError."""
    with opened(path, key) as database:
        with database.use() as connection:
            request = prepare(connection, path, options)
        await copy_beside(request, say)


async def verify_closed(path: Path, key: SecretStr | None, say: Say) -> None:
    with opened(path, key) as database, database.use() as connection:
        verify_connection(connection, say)


async def compact_closed(path: Path, key: SecretStr | None, say: Say) -> None:
    with opened(path, key) as database:
        compact_database(database, say)


async def encrypt_closed(path: Path, key: SecretStr | None, say: Say) -> None:
    """Compact a plain store into an encrypted one."""
    _require_store(path)
    if key is None:
        raise StoreError(
            "collector.encryption_key",
            why="it is not set",
            remedy='set it to "env:NAME" or "file:/path" and try again',
        )
    database = EncryptedDatabase(path, None, key)
    try:
        compact_database(database, say, then=database.use_fresh_key)
    finally:
        database.close()


@contextmanager
def opened(place: Path | Lake, key: SecretStr | None) -> Iterator[Database]:
    """A store that no collector has open, or a lake. Raises StoreError when there is none."""
    if isinstance(place, Lake):
        database: Database = LakeDatabase(place)
    else:
        _require_store(place)
        database = database_at(place, key)
    try:
        yield database
    except duckdb.Error as error:
        raise database.explain(error) from error
    finally:
        database.close()


def _require_store(path: Path) -> None:
    """These commands make none."""
    if not path.exists():
        raise StoreError(
            str(path),
            why="there is no store, and no collector answers",
            remedy="check collector.data and collector.listen, or give --config",
        )


def _log(report: Report) -> None:
    if isinstance(report, Compacted):
        log.info(
            "store compacted",
            bytes_before=report.bytes_before,
            bytes_after=report.bytes_after,
            rows=report.rows,
        )
