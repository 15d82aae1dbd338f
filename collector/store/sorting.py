"""Finished days are put in order, series by series: they take half the space then, and a series is
read from a few places instead of from everywhere.

Rows come in the order of time, so that neighbours belong to different series and compress badly.
Each step moves a part of a day in one transaction; a day that was not finished is begun again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb

from collector.store.db import transaction
from collector.store.rollups import floor

DAY = timedelta(days=1)
# Most late rows have come by then; later ones stay where they are put.
SETTLED = timedelta(hours=1)
# A commit that comes meanwhile waits for the part: some tenths of a second.
ROWS_IN_PART = 1_000_000

NEXT = """
SELECT date_trunc('day', min(ts))
FROM {table}
WHERE ts >= coalesce((SELECT until FROM sorted_days WHERE name = $table), '-infinity')
"""
COUNT = "SELECT count(*) FROM {table} WHERE ts >= $start AND ts < $until"
PART = """
CREATE OR REPLACE TEMP TABLE part AS
SELECT * FROM {table}
WHERE ts >= $start AND ts < $until AND series_id % $parts = $number
ORDER BY series_id, ts
"""
TAKE_OUT = """
DELETE FROM {table} WHERE ts >= $start AND ts < $until AND series_id % $parts = $number
"""
PUT_BACK = "INSERT INTO {table} SELECT * FROM part"
ADVANCE = "UPDATE sorted_days SET until = $until WHERE name = $table"


@dataclass(frozen=True, slots=True)
class Part:
    """One of `parts` shares of the series of a day."""

    table: str
    start: datetime
    parts: int
    number: int = 0

    @property
    def following(self) -> "Part | None":
        number = self.number + 1
        if number == self.parts:
            return None
        return Part(self.table, self.start, self.parts, number)


def next_day(connection: duckdb.DuckDBPyConnection, now: datetime) -> Part | None:
    """The first part of the oldest finished day that is not in order; None when all are."""
    limit = floor(now - SETTLED, DAY)
    for table in ("samples", "samples_minute"):
        [[start]] = connection.execute(NEXT.format(table=table), {"table": table}).fetchall()
        if start is None or start >= limit:
            continue
        span = {"start": start, "until": start + DAY}
        [[rows]] = connection.execute(COUNT.format(table=table), span).fetchall()
        return Part(table, start, parts=1 + rows // ROWS_IN_PART)
    return None


def sort(connection: duckdb.DuckDBPyConnection, part: Part) -> None:
    """Put the part in order. Runs on the writer's thread."""
    where = {"start": part.start, "until": part.start + DAY}
    share = {"parts": part.parts, "number": part.number}
    with transaction(connection):
        connection.execute(PART.format(table=part.table), where | share)
        connection.execute(TAKE_OUT.format(table=part.table), where | share)
        connection.execute(PUT_BACK.format(table=part.table))
        if part.following is None:
            done = {"table": part.table, "until": part.start + DAY}
            connection.execute(ADVANCE, done)
