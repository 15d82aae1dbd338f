"""What has been kept long enough: found day by day, and deleted once nothing needs it any more."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb

from collector.store.db import transaction
from collector.store.rollups import floor
from common.store_settings import RetentionSettings

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)

OLDEST = "SELECT date_trunc('day', min(ts)) FROM {table}"
COUNT = "SELECT count(*) FROM {table} WHERE ts < $until"
DELETE = "DELETE FROM {table} WHERE ts < $until"
# Never back: roll-ups of late rows may be older than what was deleted already. Where minutes are
# gone the raw rows are gone too, even if there never were any.
ADVANCE = """
UPDATE rollup_state
SET kept_since = greatest(coalesce(kept_since, $until), $until)
WHERE list_contains($levels, level)
"""
# Nothing may go that its roll-ups do not have yet.
UNSETTLED = """
SELECT
    (SELECT count(*) FROM rollup_late WHERE ts < $until)
    + (SELECT count(*) FROM rollup_state WHERE level <> 'raw' AND rolled_until < $until)
"""


@dataclass(frozen=True, slots=True)
class Level:
    """Tables that are kept equally long.

    `name` as in the settings; `gone` are the levels of rollup_state that are kept no longer.
    """

    name: str
    tables: tuple[str, ...]
    gone: tuple[str, ...]


LEVELS = (
    Level("raw", ("samples",), gone=("raw",)),
    # One row a run is no more than one row a minute.
    Level("minute", ("samples_minute", "probe_results"), gone=("raw", "minute")),
    Level("hour", ("samples_hour",), gone=("raw", "minute", "hour")),
    Level("ledger", ("events",), gone=()),
)


@dataclass(frozen=True, slots=True)
class Due:
    """All rows of `level` before `until`, which is the end of the oldest day with rows."""

    level: Level
    until: datetime

    @property
    def day(self) -> datetime:
        return self.until - DAY


def next_due(
    connection: duckdb.DuckDBPyConnection, settings: RetentionSettings, now: datetime
) -> Due | None:
    """The oldest day of the first level that has one too many; None when there is none."""
    for level in LEVELS:
        until = _oldest_end(connection, level, getattr(settings, level.name), now)
        if until is not None:
            return Due(level, until)
    return None


def _oldest_end(
    connection: duckdb.DuckDBPyConnection, level: Level, keep_seconds: float, now: datetime
) -> datetime | None:
    # An age beyond the calendar is for ever, as infinity is.
    keep = min(keep_seconds, (now - EPOCH).total_seconds())
    cutoff = floor(now - timedelta(seconds=keep), DAY)
    found = [
        day
        for table in level.tables
        for [day] in connection.execute(OLDEST.format(table=table)).fetchall()
        if day is not None and day < cutoff
    ]
    return min(found) + DAY if found else None


def delete(
    connection: duckdb.DuckDBPyConnection, due: Due, archived: Mapping[str, int] | None = None
) -> bool:
    """Delete what is due; false when it has to wait. Runs on the writer's thread.

    It waits for the roll-ups of late rows, and, with `archived` (rows by table), while there are
    others than those.
    """
    parameters = {"until": due.until}
    with transaction(connection):
        [[unsettled]] = connection.execute(UNSETTLED, parameters).fetchall()
        if unsettled:
            return False
        for table in due.level.tables:
            [[count]] = connection.execute(COUNT.format(table=table), parameters).fetchall()
            if archived is not None and archived.get(table) != count:
                return False
        for table in due.level.tables:
            connection.execute(DELETE.format(table=table), parameters)
        connection.execute(ADVANCE, {"levels": due.level.gone, **parameters})
    return True
