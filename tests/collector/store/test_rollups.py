"""Roll-ups are what brute force finds, whatever came when, and whatever was deleted meanwhile."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.model.sample import Sample, series_id
from collector.store.batches import samples_batches
from collector.store.db import open_database, transaction
from collector.store.insert import insert_batch
from collector.store.migrate import known_migrations, migrate
from collector.store.retention import DAY, LEVELS, Due, delete, next_due
from collector.store.rollups import HOUR, MINUTE, floor, read_state, roll
from common.store_settings import RetentionSettings

# Where the store's history begins; rows may be older.
START = datetime(2026, 11, 20, 12, tzinfo=UTC)
METRICS = ("probe_duration_seconds", "system_cpu_utilization_ratio")
LEVELS_BY_NAME = {level.name: level for level in LEVELS}
ROWS = "SELECT * FROM samples_{unit} ORDER BY series_id, ts"
LATEST = datetime(9000, 1, 1, tzinfo=UTC)

Key = tuple[int, datetime]


def sample(metric: str, at: datetime, value: float) -> Sample:
    return Sample(metric, (("name", "shop"),), at, value)


@contextmanager
def fresh_store() -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(duckdb.connect()) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        migrate(connection, Path("memory"), known_migrations())
        connection.execute(
            "UPDATE rollup_state SET rolled_until = date_trunc(level, $start) WHERE level <> 'raw'",
            {"start": START},
        )
        yield connection


def append(connection: duckdb.DuckDBPyConnection, samples: Sequence[Sample]) -> None:
    with transaction(connection):
        for batch in samples_batches(samples):
            insert_batch(connection, batch)


def roll_all(connection: duckdb.DuckDBPyConnection, now: datetime) -> None:
    while roll(connection, now):
        pass


def retire(connection: duckdb.DuckDBPyConnection, level: str, until: datetime) -> None:
    """As the settings have it: minutes are kept for a day longer than raw rows."""
    if level == "minute":
        until -= DAY
    delete(connection, Due(LEVELS_BY_NAME["raw"], until))
    if level == "minute":
        delete(connection, Due(LEVELS_BY_NAME["minute"], until))


def brute_force(
    samples: Sequence[Sample], unit: timedelta, until: datetime
) -> dict[Key, list[float]]:
    values: dict[Key, list[float]] = defaultdict(list)
    for one in samples:
        bucket = floor(one.at, unit)
        if bucket < until and not math.isnan(one.value):
            values[series_id(one.metric, one.labels), bucket].append(one.value)
    return values


def check(
    connection: duckdb.DuckDBPyConnection, unit: str, expected: dict[Key, list[float]]
) -> None:
    rows = connection.execute(ROWS.format(unit=unit)).fetchall()
    assert {(row[0], row[1]) for row in rows} == set(expected)
    assert len(rows) == len(expected)
    for series, ts, count, total, low, high, last, last_ts, buckets in rows:
        values = expected[series, ts]
        assert count == len(values)
        assert total == pytest.approx(math.fsum(values), rel=1e-9, abs=1e-9)
        assert (low, high) == (min(values), max(values))
        assert last in values
        assert ts <= last_ts
        if buckets is not None:
            assert sum(buckets.values()) == count


moments = st.integers(-3 * 86_400, 5 * 86_400).map(lambda s: START + timedelta(seconds=s))
values = st.one_of(
    st.floats(-1e6, 1e6), st.just(math.nan), st.sampled_from([0.0, 1e-9, 0.25, 1.0, 4e3])
)
arrivals = st.lists(st.builds(sample, st.sampled_from(METRICS), moments, values), max_size=30)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), arrivals),
        st.tuples(st.just("roll"), moments),
        st.tuples(st.just("step"), moments),
        st.tuples(st.just("retire"), st.sampled_from(["raw", "minute"])),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(steps=steps)
def test_roll_ups_are_what_brute_force_finds_for_any_order_of_arrival(
    steps: list[tuple[str, object]],
) -> None:
    everything: list[Sample] = []
    now = START
    with fresh_store() as connection:
        for kind, what in steps:
            if kind == "append":
                assert isinstance(what, list)
                everything += what
                if what:
                    append(connection, what)
            elif kind == "retire":
                retire(connection, str(what), floor(now, DAY) - DAY)
            else:
                assert isinstance(what, datetime)
                now = max(now, what)
                if kind == "roll":
                    roll_all(connection, now)
                else:
                    roll(connection, now)
        roll_all(connection, now)
        state = read_state(connection)
        minutes = brute_force(everything, MINUTE, state.minute_until)
        hours = brute_force(everything, HOUR, state.hour_until)
        since = state.minute_since
        kept = {key: found for key, found in minutes.items() if since is None or key[1] >= since}
        check(connection, "minute", kept)
        check(connection, "hour", hours)


def test_a_latency_has_buckets_from_which_its_quantiles_are_computed() -> None:
    seconds = [0.1, 0.2, 0.2, 0.8, 0.0]
    samples = [sample(METRICS[0], START + timedelta(seconds=n), v) for n, v in enumerate(seconds)]
    with fresh_store() as connection:
        append(connection, samples)
        roll_all(connection, START + HOUR)

        [[buckets]] = connection.execute("SELECT buckets FROM samples_minute").fetchall()

    assert buckets == {
        math.floor(8 * math.log2(v)) if v else -32768: seconds.count(v) for v in seconds
    }


def test_what_is_no_latency_has_no_buckets() -> None:
    with fresh_store() as connection:
        append(connection, [sample(METRICS[1], START, 0.5)])
        append(connection, [sample("tls_expiry_timestamp_seconds", START, 1.8e9)])
        roll_all(connection, START + HOUR)

        rows = connection.execute("SELECT buckets FROM samples_minute").fetchall()

    assert rows == [(None,), (None,)]


def test_infinite_values_are_counted_and_do_not_stop_the_roll_ups() -> None:
    with fresh_store() as connection:
        append(connection, [sample(METRICS[0], START, math.inf), sample(METRICS[0], START, 5e-324)])
        roll_all(connection, START + HOUR)

        rows = connection.execute("SELECT count, max FROM samples_minute").fetchall()

    assert rows == [(2, math.inf)]


def test_a_failed_step_leaves_the_roll_ups_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    with fresh_store() as connection:
        append(connection, [sample(METRICS[0], START + MINUTE, 1.0)])
        before = read_state(connection)
        monkeypatch.setattr("collector.store.rollups.ADVANCE", "SELECT no_such_function()")
        with pytest.raises(duckdb.Error):
            roll(connection, START + HOUR)

        assert read_state(connection) == before
        assert connection.execute("SELECT count(*) FROM samples_minute").fetchall() == [(0,)]
        monkeypatch.undo()
        roll_all(connection, START + HOUR)
        assert connection.execute("SELECT count(*) FROM samples_minute").fetchall() == [(1,)]


def test_only_whole_days_beyond_their_time_are_due(tmp_path: Path) -> None:
    kept = RetentionSettings.model_validate({"raw": "2d"})
    with closing(open_database(tmp_path / "m.duckdb")) as connection:
        migrate(connection, tmp_path, known_migrations())
        append(connection, [sample(METRICS[1], START, 1.0)])

        assert next_due(connection, kept, START + timedelta(days=2, hours=11)) is None
        due = next_due(connection, kept, START + timedelta(days=2, hours=12))

    assert due == Due(LEVELS_BY_NAME["raw"], datetime(2026, 11, 21, tzinfo=UTC))


def test_rows_stay_until_their_roll_ups_are_there() -> None:
    due = Due(LEVELS_BY_NAME["raw"], floor(START, DAY) + DAY)
    with fresh_store() as connection:
        append(connection, [sample(METRICS[1], START - timedelta(days=1), 1.0)])

        assert not delete(connection, due)
        roll_all(connection, START + timedelta(days=2))
        assert delete(connection, due)

        assert connection.execute("SELECT count(*) FROM samples").fetchall() == [(0,)]
        assert connection.execute("SELECT count(*) FROM samples_minute").fetchall() == [(1,)]


def test_rows_that_came_after_the_archive_was_written_keep_their_day() -> None:
    due = Due(LEVELS_BY_NAME["raw"], floor(START, DAY) + DAY)
    with fresh_store() as connection:
        append(connection, [sample(METRICS[1], START, 1.0), sample(METRICS[1], START, 2.0)])
        roll_all(connection, START + timedelta(days=2))

        assert not delete(connection, due, {"samples": 1})
        assert delete(connection, due, {"samples": 2})


@pytest.mark.parametrize("gone", ["raw", "minute"])
def test_late_rows_of_a_deleted_day_are_added_once_however_many_come_after_them(gone: str) -> None:
    day = floor(START, DAY)
    with fresh_store() as connection:
        append(connection, [sample(METRICS[0], START, 1.0)])
        roll_all(connection, START + timedelta(days=3))
        for level in ("raw", "minute") if gone == "minute" else ("raw",):
            assert delete(connection, Due(LEVELS_BY_NAME[level], day + DAY))

        for value in (2.0, 4.0, 8.0):
            append(connection, [sample(METRICS[0], START, value)])
            roll_all(connection, START + timedelta(days=3))

        coarser = "hour" if gone == "minute" else "minute"
        rows = connection.execute(f"SELECT count, sum, max FROM samples_{coarser}").fetchall()  # noqa: S608 - one of two
        assert rows == [(4, 15.0, 8.0)]
        assert connection.execute("SELECT count(*) FROM samples").fetchall() == [(0,)]
        assert connection.execute("SELECT sum(count) FROM samples_hour").fetchall() == [(4,)]


def test_for_ever_and_ages_beyond_the_calendar_delete_nothing() -> None:
    kept = RetentionSettings.model_validate({"raw": "9000y", "minute": "9000y", "hour": "forever"})
    with fresh_store() as connection:
        append(connection, [sample(METRICS[1], START - timedelta(days=2000), 1.0)])
        roll_all(connection, START)

        assert next_due(connection, kept, START) is None
