"""Samples by minute and by hour, computed as they come and computed again for late rows.

A commit of samples notes, in its own transaction, the minutes that it reached too late. Each step
here is one transaction as well: what it computed, what it settled and how far it came are on disk
together or not at all, so that nothing is counted twice.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb

from collector.store.db import transaction
from collector.store.rollup_sql import (
    HOURS_OF_MINUTES,
    HOURS_OF_RAW,
    JOIN_HOURS,
    JOIN_MINUTES,
    MINUTES_OF_LATE,
    MINUTES_OF_RAW,
)

# Rows of a minute come a little after it ended; later ones are late, and are counted all the same.
SETTLED = timedelta(seconds=10)
# What one step takes on at most, so that no commit waits long for it.
STEP = timedelta(hours=1)
MAX_LATE_MINUTES = 100_000
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)

STATE = """
SELECT
    max(rolled_until) FILTER (level = 'minute') AS minute_until,
    max(rolled_until) FILTER (level = 'hour') AS hour_until,
    max(kept_since) FILTER (level = 'raw') AS raw_since,
    max(kept_since) FILTER (level = 'minute') AS minute_since
FROM rollup_state
"""
ADVANCE = "UPDATE rollup_state SET rolled_until = $until WHERE level = $level"
LATE_HOURS = """
SELECT date_trunc('hour', ts) AS hour, count(*) FROM rollup_late GROUP BY hour ORDER BY hour
"""
LATE_MINUTES = """
CREATE OR REPLACE TEMP TABLE late AS
SELECT DISTINCT series_id, ts FROM rollup_late WHERE ts >= $start AND ts < $until
"""
LATE_BY_HOUR = """
CREATE OR REPLACE TEMP TABLE late AS
SELECT DISTINCT series_id, date_trunc('hour', ts) AS ts FROM late WHERE ts < $until
"""
# What a level has of the late buckets, to be replaced.
KNOWN = """
CREATE OR REPLACE TEMP TABLE part AS SELECT level.* FROM {level} AS level
SEMI JOIN late ON late.series_id = level.series_id AND late.ts = level.ts
"""
FORGET = """
DELETE FROM {level} AS level USING late
WHERE late.series_id = level.series_id AND late.ts = level.ts
"""
MINUTES_OF_LATE_HOURS = """
CREATE OR REPLACE TEMP TABLE part AS SELECT m.* FROM samples_minute AS m
SEMI JOIN late ON late.series_id = m.series_id AND late.ts = date_trunc('hour', m.ts)
WHERE m.ts >= $start AND m.ts < $until
"""
SETTLE = "DELETE FROM rollup_late WHERE ts >= $start AND ts < $until"
DROP_RAW = "DELETE FROM samples WHERE ts >= $start AND ts < $until"


@dataclass(frozen=True, slots=True)
class RollupState:
    """How far the levels have come; `since`: what is older has been deleted, None: nothing has."""

    minute_until: datetime
    hour_until: datetime
    raw_since: datetime | None
    minute_since: datetime | None


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` up to, not including, `until`; on whole minutes or hours."""

    start: datetime
    until: datetime

    @property
    def parameters(self) -> dict[str, datetime]:
        return {"start": self.start, "until": self.until}


def roll(connection: duckdb.DuckDBPyConnection, now: datetime) -> bool:
    """Take one step; true when there is more to do. Runs on the writer's thread."""
    state = read_state(connection)
    goal = floor(now - SETTLED, MINUTE)
    if state.minute_until < goal:
        until = min(goal, floor(state.minute_until, HOUR) + STEP)
        with transaction(connection):
            _roll_new(connection, state, until)
        return True
    late = _next_late(connection, state)
    if late is None:
        return False
    with transaction(connection):
        _roll_late(connection, state, late)
    return True


def read_state(connection: duckdb.DuckDBPyConnection) -> RollupState:
    return RollupState(*connection.execute(STATE).fetchall()[0])


def floor(at: datetime, unit: timedelta) -> datetime:
    since = at - datetime.fromtimestamp(0, UTC)
    return at - since % unit


def _roll_new(connection: duckdb.DuckDBPyConnection, state: RollupState, until: datetime) -> None:
    span = Span(state.minute_until, until)
    connection.execute("INSERT INTO samples_minute " + MINUTES_OF_RAW, span.parameters)
    connection.execute(ADVANCE, {"level": "minute", "until": until})
    hours = Span(state.hour_until, floor(until, HOUR))
    if hours.start < hours.until:
        connection.execute("INSERT INTO samples_hour " + HOURS_OF_MINUTES, hours.parameters)
        connection.execute(ADVANCE, {"level": "hour", "until": hours.until})


def _next_late(connection: duckdb.DuckDBPyConnection, state: RollupState) -> Span | None:
    """The oldest hours with late rows, as many as one step may take on, all treated alike."""
    hours = connection.execute(LATE_HOURS).fetchall()
    if not hours:
        return None
    start = hours[0][0]
    ends = [since for since in (state.raw_since, state.minute_since) if since and since > start]
    limit = min([start + STEP, *ends])
    until, minutes = start, 0
    for hour, count in hours:
        minutes += count
        if hour >= limit or (minutes > MAX_LATE_MINUTES and until > start):
            break
        until = hour + HOUR
    return Span(start, until)


def _roll_late(connection: duckdb.DuckDBPyConnection, state: RollupState, span: Span) -> None:
    connection.execute(LATE_MINUTES, span.parameters)
    if state.minute_since is not None and span.start < state.minute_since:
        _add_to_hours(connection, span)
    else:
        if state.raw_since is not None and span.start < state.raw_since:
            _add_to_minutes(connection, span)
        else:
            _compute_minutes(connection, span)
        _compute_hours(connection, state, span)
    connection.execute(SETTLE, span.parameters)


def _compute_minutes(connection: duckdb.DuckDBPyConnection, span: Span) -> None:
    connection.execute(FORGET.format(level="samples_minute"))
    connection.execute("INSERT INTO samples_minute " + MINUTES_OF_LATE, span.parameters)


def _compute_hours(connection: duckdb.DuckDBPyConnection, state: RollupState, span: Span) -> None:
    connection.execute(LATE_BY_HOUR, {"until": state.hour_until})
    connection.execute(MINUTES_OF_LATE_HOURS, span.parameters)
    connection.execute(FORGET.format(level="samples_hour"))
    connection.execute("INSERT INTO samples_hour " + JOIN_HOURS)


def _add_to_minutes(connection: duckdb.DuckDBPyConnection, span: Span) -> None:
    """For minutes whose raw rows have been deleted: the late rows are added to what is known."""
    connection.execute(KNOWN.format(level="samples_minute"))
    connection.execute("INSERT INTO part " + MINUTES_OF_RAW, span.parameters)
    connection.execute(FORGET.format(level="samples_minute"))
    connection.execute("INSERT INTO samples_minute " + JOIN_MINUTES)
    connection.execute(DROP_RAW, span.parameters)


def _add_to_hours(connection: duckdb.DuckDBPyConnection, span: Span) -> None:
    """The same where the minutes have been deleted too."""
    connection.execute(LATE_BY_HOUR, {"until": span.until})
    connection.execute(KNOWN.format(level="samples_hour"))
    connection.execute("INSERT INTO part " + HOURS_OF_RAW, span.parameters)
    connection.execute(FORGET.format(level="samples_hour"))
    connection.execute("INSERT INTO samples_hour " + JOIN_HOURS)
    connection.execute(DROP_RAW, span.parameters)
