"""What a lake needs now and then: rows out of PostgreSQL, fewer and larger files, old ones gone."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Never

import duckdb
import structlog

from collector.errors import StoreError
from collector.store.db import transaction
from collector.store.store import Store
from common.store_settings import LakeSettings

# What nobody refers to may be a file of a commit that is still under way, elsewhere.
ORPHAN_AGE = timedelta(days=1)
# A file is read and written again until it is so large, and no more than so many times a day.
GROWN_BYTES = 16 << 20
FILES_IN_STEP = 20

FLUSH = "CALL ducklake_flush_inlined_data('lake')"
MERGE = f"CALL ducklake_merge_adjacent_files('lake', max_compacted_files => {FILES_IN_STEP}"
MERGE_GROWING = f"{MERGE}, max_file_size => {GROWN_BYTES})"
MERGE_ALL = f"{MERGE})"
# Of files most of whose rows have been deleted.
REWRITE = "CALL ducklake_rewrite_data_files('lake', delete_threshold => 0.5)"
EXPIRE = "CALL ducklake_expire_snapshots('lake', older_than => $before)"
CLEAN = "CALL ducklake_cleanup_old_files('lake', older_than => $before)"
SWEEP = "CALL ducklake_delete_orphaned_files('lake', older_than => $before)"

LAST = "SELECT max(began_at) FROM lake_upkeep"
FORGET = "DELETE FROM lake_upkeep"
CLAIM = "INSERT INTO lake_upkeep VALUES ($now)"
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of work; `run` does a part of it and returns how much, 0 when nothing is left."""

    name: str
    unit: str
    run: Callable[[duckdb.DuckDBPyConnection], int]
    is_repeated: bool = False


def steps(settings: LakeSettings, now: datetime, *, thorough: bool) -> list[Step]:
    """In order; `thorough` also joins files that have grown already."""
    expired = {"before": now - timedelta(seconds=settings.keep_snapshots_seconds)}
    orphaned = {"before": now - ORPHAN_AGE}
    merge = MERGE_ALL if thorough else MERGE_GROWING
    return [
        Step("flush", "rows written to files", lambda cursor: _sum(cursor, FLUSH, 2)),
        Step("merge", "files joined", lambda cursor: _sum(cursor, merge, 2), is_repeated=True),
        Step("rewrite", "files rewritten", lambda cursor: _sum(cursor, REWRITE, 2)),
        Step("expire", "snapshots expired", lambda cursor: _count(cursor, EXPIRE, expired)),
        Step("clean", "old files deleted", lambda cursor: _count(cursor, CLEAN, expired)),
        Step("sweep", "orphans deleted", lambda cursor: _count(cursor, SWEEP, orphaned)),
    ]


def claim(cursor: duckdb.DuckDBPyConnection, now: datetime, every_seconds: float) -> bool:
    """Whether it is this collector's turn: it is, unless another began less than that ago."""
    with transaction(cursor):
        [[began_at]] = cursor.execute(LAST).fetchall()
        if began_at is not None and now < began_at + timedelta(seconds=every_seconds):
            return False
        cursor.execute(FORGET)
        cursor.execute(CLAIM, {"now": now})
    return True


async def keep_maintaining(store: Store, settings: LakeSettings) -> Never:
    """All steps, every so often, by whichever collector comes first."""
    while True:
        await asyncio.sleep(settings.maintain_seconds)
        try:
            await maintain(store, settings)
        except StoreError as error:
            log.warning("the lake is not maintained", error=str(error))


async def maintain(store: Store, settings: LakeSettings) -> dict[str, int] | None:
    """What each step did; None when it was another collector's turn."""
    now = datetime.now(UTC)
    if not await store.write(lambda cursor: claim(cursor, now, settings.maintain_seconds)):
        return None
    outcome: dict[str, int] = {}
    for step in steps(settings, now, thorough=False):
        outcome[step.name] = done = await store.write(step.run)
        # Whoever waits to write comes between two parts.
        while done and step.is_repeated:
            done = await store.write(step.run)
            outcome[step.name] += done
    await store.exclusively(lambda database: database.measure())
    log.info("lake maintained", **outcome)
    return outcome


def _sum(cursor: duckdb.DuckDBPyConnection, sql: str, column: int) -> int:
    return sum(row[column] for row in cursor.execute(sql).fetchall())


def _count(cursor: duckdb.DuckDBPyConnection, sql: str, before: dict[str, datetime]) -> int:
    return len(cursor.execute(sql, before).fetchall())
