"""What the store does by itself, in small steps between commits: roll-ups and retention."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Never

import duckdb
import structlog

from collector.errors import StoreError
from collector.store.archive import archive_day
from collector.store.retention import Due, delete, next_due
from collector.store.rollups import read_state, roll
from collector.store.sorting import next_day, sort
from collector.store.store import Store
from common.store_settings import RetentionSettings

ROLL_SECONDS = 10.0
RETIRE_SECONDS = 3600.0
log = structlog.get_logger(__name__)


async def keep_rolling(store: Store) -> Never:
    """Bring the roll-ups up to date every ROLL_SECONDS."""
    while True:
        await roll_up(store)
        await asyncio.sleep(ROLL_SECONDS)


async def roll_up(store: Store) -> None:
    """Take every step that there is to take; what the store refuses is for the next time."""

    def step(connection: duckdb.DuckDBPyConnection) -> bool:
        is_unfinished = roll(connection, datetime.now(UTC))
        store.meters.rolled(read_state(connection))
        return is_unfinished

    try:
        is_unfinished = True
        while is_unfinished:
            # Whoever waits in the queue meanwhile comes between two steps.
            is_unfinished = await store.write(step)
    except StoreError as error:
        log.warning("roll-ups are late", error=str(error))


async def keep_retiring(store: Store, settings: RetentionSettings, archive: Path | None) -> Never:
    """Delete what has had its time, every hour, and put in order what stays."""
    while True:
        try:
            await retire(store, settings, archive, datetime.now(UTC))
            if not store.is_shared:
                # It would read and write the same files again and again, from each collector.
                await put_in_order(store, datetime.now(UTC))
        except StoreError as error:
            log.warning("old days stay as they are", error=str(error))
        await asyncio.sleep(RETIRE_SECONDS)


async def retire(
    store: Store, settings: RetentionSettings, archive: Path | None, now: datetime
) -> None:
    """Delete day after day of every level, archived first; stops at one that has to wait."""
    while (due := await store.aside(lambda cursor: next_due(cursor, settings, now))) is not None:
        archived = None
        if archive is not None:
            archived = await store.aside(_archiving(due, archive))
        if not await store.write(_deleting(due, archived)):
            log.info("deletion waits for roll-ups", level=due.level.name, day=f"{due.day:%Y-%m-%d}")
            return
        log.info("deleted", level=due.level.name, day=f"{due.day:%Y-%m-%d}", archived=archived)


async def put_in_order(store: Store, now: datetime) -> None:
    """Sort finished days, part by part."""
    while (part := await store.aside(lambda cursor: next_day(cursor, now))) is not None:
        log.info("sorting", table=part.table, day=f"{part.start:%Y-%m-%d}", parts=part.parts)
        while part is not None:
            await store.write(partial(sort, part=part))
            part = part.following


def _archiving(due: Due, archive: Path) -> Callable[[duckdb.DuckDBPyConnection], dict[str, int]]:
    def work(cursor: duckdb.DuckDBPyConnection) -> dict[str, int]:
        tables = due.level.tables
        return {table: archive_day(cursor, table, due.day, archive) for table in tables}

    return work


def _deleting(
    due: Due, archived: dict[str, int] | None
) -> Callable[[duckdb.DuckDBPyConnection], bool]:
    return lambda connection: delete(connection, due, archived)
