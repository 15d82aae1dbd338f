"""Which roll-up answers which part of a question about samples."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb

from collector.store.rollups import HOUR, MINUTE, RollupState, floor, read_state

LATE = "SELECT count(*) FROM rollup_late WHERE ts >= $start AND ts < $until"
ZERO = timedelta(0)
MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Levels:
    """From `start` to `hour_until` hours, then minutes to `minute_until`, then raw to `until`.

    Attributes:
        step: width of a row's bucket; None for the samples themselves.
        raw_since, minute_since: what is older has been deleted; None while nothing has.
        has_late: some minutes before `minute_until` got rows that are not in the roll-ups yet.
    """

    step: timedelta | None
    start: datetime
    hour_until: datetime
    minute_until: datetime
    until: datetime
    raw_since: datetime | None = None
    minute_since: datetime | None = None
    has_late: bool = False

    @property
    def has_hours(self) -> bool:
        return self.start < self.hour_until

    @property
    def is_raw(self) -> bool:
        return self.start >= self.minute_until

    @property
    def name(self) -> str:
        """What the rows were made of, such as "hour+minute+raw"."""
        is_used = {
            "hour": self.has_hours,
            "minute": self.hour_until < self.minute_until or (self.has_late and self.has_hours),
            "raw": self.minute_until < self.until or self.has_late,
        }
        return "+".join(level for level, used in is_used.items() if used) or "raw"


def choose_levels(
    connection: duckdb.DuckDBPyConnection,
    step: timedelta | None,
    start: datetime,
    until: datetime,
    *,
    needs_raw: bool = False,
) -> Levels:
    """The coarsest levels that answer exactly; a coarser step where the finer rows are gone.

    `needs_raw`: roll-ups do not have what is asked, so they are used only where the raw rows have
    been deleted. To be called in the transaction that then reads the rows. Raises duckdb.Error.
    """
    state = read_state(connection)
    if step is None:
        return Levels(None, start, start, start, until, state.raw_since, state.minute_since)
    step = _kept_step(state, step, start)
    start, until = floor(start, step), floor(until - MOMENT, step) + step
    is_raw_kept = state.raw_since is None or start >= state.raw_since
    hour_until, minute_until = (
        (start, start) if needs_raw and is_raw_kept else _borders(state, step, start, until)
    )
    span = {"start": start, "until": minute_until}
    [[late]] = connection.execute(LATE, span).fetchall()
    return Levels(
        step,
        start,
        hour_until,
        minute_until,
        until,
        state.raw_since,
        state.minute_since,
        has_late=late > 0,
    )


def _kept_step(state: RollupState, step: timedelta, start: datetime) -> timedelta:
    """`step`, or the next whole number of minutes or hours where only those are left."""
    for since, unit in ((state.raw_since, MINUTE), (state.minute_since, HOUR)):
        if since is not None and floor(start, step) < since:
            step = -(-step // unit) * unit
    return step


def _borders(
    state: RollupState, step: timedelta, start: datetime, until: datetime
) -> tuple[datetime, datetime]:
    """Until when hours, then minutes, can be used: buckets that a step does not cut in pieces."""
    hours = state.hour_until if step % HOUR == ZERO else start
    minutes = state.minute_until if step % MINUTE == ZERO else start
    hour_until = min(max(hours, start), until)
    return hour_until, min(max(minutes, hour_until), until)
