"""Is the store what it should be? Every block read, roll-ups compared, ids unique and known."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb

from collector.errors import StoreError
from collector.model.report import Checked, Progress, Report, Say, Verified
from collector.store import verify_sql as sql
from collector.store.backup import schema_version
from collector.store.migrate import known_migrations

BEGIN = "BEGIN TRANSACTION READ ONLY"
DAY = timedelta(days=1)
# Events that are compared with each other at once: 64 bytes each.
SLICE_ROWS = 2_000_000
WITH_SERIES = ("samples", "samples_minute", "samples_hour")


@dataclass(frozen=True, slots=True)
class Level:
    """A level of roll-ups, and from where to where it can be compared with the finer one."""

    table: str
    finer: str
    suspects: str
    different: str
    since: datetime | None
    until: datetime


def verify(connection: duckdb.DuckDBPyConnection, say: Say) -> None:
    """Say each check, then the sum; reads one state of the store, whatever is written meanwhile.

    Raises StoreError for a file that this code does not know, duckdb.Error when it is interrupted.
    """
    checks = differences = 0

    def counting(report: Report) -> None:
        nonlocal checks, differences
        if isinstance(report, Checked):
            checks += 1
            differences += report.differences
        say(report)

    with _one_state(connection):
        _require_schema(connection)
        _read_whole(connection, counting)
        # What cannot be read cannot be compared either.
        if not differences:
            for level in _levels(connection):
                _compare(connection, level, counting)
            _check_events(connection, counting)
            _check_series(connection, counting)
    say(Verified(checks=checks, differences=differences))


@contextmanager
def _one_state(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.execute(BEGIN)
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def _require_schema(connection: duckdb.DuckDBPyConnection) -> None:
    found, known = schema_version(connection), known_migrations()[-1].version
    if found != known:
        raise StoreError(
            "the store",
            why=f"its schema version is {found}, this dhmon checks version {known}",
            remedy="start the collector of this version once, then verify",
        )


def _read_whole(connection: duckdb.DuckDBPyConnection, say: Say) -> None:
    tables = [row[0] for row in connection.execute(sql.TABLES).fetchall()]
    for place, table in enumerate(tables):
        say(Progress("reading every table", place, len(tables), "tables"))
        rows, detail = 0, ""
        try:
            [[rows, _]] = connection.execute(sql.READ_WHOLE.format(table=table)).fetchall()
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            detail = str(error)
            # A failed query ends its transaction.
            connection.execute("ROLLBACK")
            connection.execute(BEGIN)
        say(
            Checked(
                check=f"{table} can be read whole",
                examined=rows,
                unit="rows",
                differences=1 if detail else 0,
                detail=detail,
            )
        )


def _levels(connection: duckdb.DuckDBPyConnection) -> list[Level]:
    [[minute_until, hour_until, minute_since, hour_since]] = connection.execute(
        sql.STATE
    ).fetchall()
    return [
        Level(
            "samples_minute",
            "samples",
            sql.MINUTE_SUSPECTS,
            sql.DIFFERENT,
            minute_since,
            minute_until,
        ),
        Level(
            "samples_hour",
            "samples_minute",
            sql.HOUR_SUSPECTS,
            sql.DIFFERENT_HOURS,
            hour_since,
            hour_until,
        ),
    ]


def _compare(connection: duckdb.DuckDBPyConnection, level: Level, say: Say) -> None:
    days = sql.DAYS.format(finer=level.finer, level=level.table)
    spans = list(_spans(level, [row[0] for row in connection.execute(days).fetchall()]))
    examined = different = 0
    for place, (start, until) in enumerate(spans):
        say(Progress(f"comparing {level.table}", place, len(spans), "days"))
        span = {"start": start, "until": until}
        connection.execute(level.suspects, span)
        different += _number(connection, level.different)
        [[rows, repeated]] = connection.execute(
            sql.EXAMINED.format(level=level.table), span
        ).fetchall()
        examined += rows
        different += repeated
    ahead = _number(connection, sql.AHEAD.format(level=level.table), {"until": level.until})
    say(
        Checked(
            check=f"{level.table} equals {level.finer}",
            examined=examined,
            unit="rows",
            differences=different + ahead,
            detail=f"{ahead} rows ahead of rolled_until" if ahead else "",
        )
    )


def _spans(level: Level, days: list[datetime]) -> Iterator[tuple[datetime, datetime]]:
    for day in days:
        start = max(day, level.since) if level.since else day
        until = min(day + DAY, level.until)
        if start < until:
            yield start, until


def _check_events(connection: duckdb.DuckDBPyConnection, say: Say) -> None:
    rows = _number(connection, sql.COUNT_EVENTS)
    slices = rows // SLICE_ROWS + 1
    repeated = 0
    for number in range(slices):
        say(Progress("comparing events", number, slices, "slices"))
        parameters = {"slices": slices, "slice": number}
        repeated += _number(connection, sql.REPEATED_EVENTS, parameters)
    say(Checked(check="each event is there once", examined=rows, unit="rows", differences=repeated))
    wrong = _number(connection, sql.WRONG_KEYS)
    say(Checked(check="each event has its own key", examined=rows, unit="rows", differences=wrong))


def _check_series(connection: duckdb.DuckDBPyConnection, say: Say) -> None:
    for table in WITH_SERIES:
        say(Progress("looking up series", WITH_SERIES.index(table), len(WITH_SERIES), "tables"))
        say(
            Checked(
                check=f"series of {table} exist",
                examined=_number(connection, sql.COUNT_SERIES.format(table=table)),
                unit="series",
                differences=_number(connection, sql.UNKNOWN_SERIES.format(table=table)),
            )
        )


def _number(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    parameters: Mapping[str, object] | None = None,
) -> int:
    return int(connection.execute(query, dict(parameters or {})).fetchall()[0][0])
