"""Questions about samples: the same answer from whatever level, and each row once."""

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.model.sample import Sample, series_id
from collector.store.result import Row
from collector.store.rollups import HOUR, MINUTE, floor
from collector.store.sample_query import Matcher, Place, SampleQuestion, place_of, planner
from tests.collector.store.test_rollups import (
    METRICS,
    START,
    append,
    fresh_store,
    retire,
    roll_all,
    sample,
)

DAY = timedelta(days=1)
ALL = ("avg", "min", "max", "sum", "count", "last", "p50", "p99")
# A value in the middle of its bucket is off by no more than this factor (2^(1/16)), and a little
# for the arithmetic.
WIDTH = 2 ** (1 / 16) * (1 + 1e-9)
LATENCY, RATIO = METRICS


def question(metric: str = LATENCY, **different: object) -> SampleQuestion:
    asked = SampleQuestion(
        metric=metric,
        matchers=(),
        start=START,
        until=START + DAY,
        step=None,
        aggregates=ALL,
        limit=10_000,
    )
    return replace(asked, **different)  # type: ignore[arg-type]


def ask(
    connection: duckdb.DuckDBPyConnection, asked: SampleQuestion
) -> tuple[list[Row], dict[str, object]]:
    statement = planner(asked)(connection)
    parameters = statement.parameters
    rows = connection.execute(statement.sql, parameters).fetchall()
    return rows, dict(statement.notes)


def brute_force(
    samples: Sequence[Sample], metric: str, start: datetime, until: datetime, step: timedelta
) -> dict[tuple[datetime, int], list[float]]:
    first, end = floor(start, step), floor(until - timedelta(microseconds=1), step) + step
    found: dict[tuple[datetime, int], list[float]] = defaultdict(list)
    for one in samples:
        if one.metric == metric and first <= one.at < end and not math.isnan(one.value):
            found[floor(one.at, step), series_id(one.metric, one.labels)].append(one.value)
    return found


def nearest_rank(values: Sequence[float], percent: int) -> float:
    return sorted(values)[max(math.ceil(len(values) * percent / 100), 1) - 1]


def check_row(row: Row, values: list[float], *, is_exact: bool, has_buckets: bool) -> None:
    _, _, _, _, avg, low, high, total, count, last, *quantiles = row
    assert count == len(values)
    assert total == pytest.approx(math.fsum(values), rel=1e-9, abs=1e-6)
    assert avg == pytest.approx(math.fsum(values) / len(values), rel=1e-9, abs=1e-6)
    assert (low, high) == (min(values), max(values))
    assert last in values
    for percent, found in zip((50, 99), quantiles, strict=True):
        true = nearest_rank(values, percent)
        if is_exact:
            assert found == true
        elif not has_buckets:
            assert found is None
        elif true > 0:
            assert true / WIDTH <= found <= true * WIDTH
        else:
            assert found == min(max(0, min(values)), max(values))


moments = st.integers(-3 * 86_400, 4 * 86_400).map(lambda s: START + timedelta(seconds=s))
values = st.one_of(
    st.floats(-1e6, 1e6), st.just(math.nan), st.sampled_from([0.0, 1e-9, 0.25, 1.0, 4e3])
)
arrivals = st.lists(st.builds(sample, st.sampled_from(METRICS), moments, values), max_size=30)
STEPS = [timedelta(seconds=s) for s in (1, 15, 60, 300, 3600, 7200, 5400, 86_400)]
histories = st.lists(
    st.one_of(
        st.tuples(st.just("append"), arrivals),
        st.tuples(st.just("roll"), moments),
        st.tuples(st.just("retire"), st.sampled_from(["raw", "minute"])),
    ),
    max_size=10,
)


@settings(max_examples=60, deadline=None)
@given(
    history=histories,
    metric=st.sampled_from(METRICS),
    step=st.sampled_from(STEPS),
    start=moments,
    length=st.integers(1, 4 * 86_400),
)
def test_any_level_answers_what_brute_force_finds(
    history: list[tuple[str, object]], metric: str, step: timedelta, start: datetime, length: int
) -> None:
    everything: list[Sample] = []
    now = START
    with fresh_store() as connection:
        for kind, what in history:
            if isinstance(what, list):
                everything += what
                if what:
                    append(connection, what)
            elif kind == "retire":
                retire(connection, str(what), floor(now, DAY) - DAY)
            elif isinstance(what, datetime):
                now = max(now, what)
                roll_all(connection, now)
        until = start + timedelta(seconds=length)

        rows, notes = ask(connection, question(metric, step=step, start=start, until=until))

    used = timedelta(seconds=float(str(notes["step_seconds"])))
    expected = brute_force(everything, metric, start, until, used)
    assert [(row[0], row[1]) for row in rows] == sorted(expected)
    for row in rows:
        check_row(
            row,
            expected[row[0], row[1]],
            is_exact=notes["level"] == "raw",
            has_buckets=metric == LATENCY,
        )


def test_the_coarsest_level_that_answers_exactly_is_used() -> None:
    with fresh_store() as connection:
        append(connection, [sample(LATENCY, START + n * MINUTE, 1.0) for n in range(200)])
        roll_all(connection, START + timedelta(minutes=150))
        levels = {}
        for seconds in (1, 59, 60, 300, 3600, 5400):
            asked = question(step=timedelta(seconds=seconds), until=START + timedelta(hours=4))
            levels[seconds] = ask(connection, asked)[1]["level"]
        past = question(step=HOUR, until=START + 2 * HOUR)

        assert levels == {
            1: "raw",
            59: "raw",
            60: "minute+raw",
            300: "minute+raw",
            3600: "hour+minute+raw",
            5400: "minute+raw",
        }
        assert ask(connection, past)[1]["level"] == "hour"


def test_where_finer_rows_are_gone_the_step_is_coarser_and_the_answer_says_so() -> None:
    old = START - timedelta(days=3)
    with fresh_store() as connection:
        append(connection, [sample(LATENCY, old + n * MINUTE, n) for n in range(120)])
        roll_all(connection, START + timedelta(days=1))
        asked = question(step=timedelta(seconds=10), start=old, until=old + HOUR)

        before = ask(connection, asked)[1]
        retire(connection, "raw", floor(START, DAY))
        minutes = ask(connection, asked)
        retire(connection, "minute", floor(START, DAY) + DAY)
        hours = ask(connection, asked)

    assert before == {"level": "raw", "step_seconds": 10.0}
    assert minutes[1] == {"level": "minute", "step_seconds": 60.0}
    assert len(minutes[0]) == 60
    assert hours[1] == {"level": "hour", "step_seconds": 3600.0}
    assert len(hours[0]) == 1


def test_quantiles_of_what_has_no_buckets_come_from_the_samples() -> None:
    with fresh_store() as connection:
        append(connection, [sample(RATIO, START + n * MINUTE, n / 100) for n in range(60)])
        roll_all(connection, START + timedelta(days=1))

        exact, by_raw = ask(connection, question(RATIO, step=HOUR, aggregates=("p90",)))
        _, by_hour = ask(connection, question(RATIO, step=HOUR, aggregates=("avg",)))

    assert exact[0][-1] == 0.53
    assert (by_raw["level"], by_hour["level"]) == ("raw", "hour+minute+raw")


def test_infinite_latencies_are_in_their_quantiles() -> None:
    with fresh_store() as connection:
        found = [0.1, 0.1, math.inf]
        append(connection, [sample(LATENCY, START + n * MINUTE, v) for n, v in enumerate(found)])
        roll_all(connection, START + timedelta(days=1))

        rows, _ = ask(connection, question(step=HOUR, aggregates=("p50", "p99")))

    assert rows[0][-2] == pytest.approx(0.1, rel=0.045)
    assert rows[0][-1] == math.inf


@pytest.mark.parametrize(
    ("matchers", "rooms"),
    [
        ([], ["attic", "cellar", None]),
        ([Matcher("room", "=", "attic")], ["attic"]),
        ([Matcher("room", "!=", "attic")], ["cellar", None]),
        ([Matcher("room", "=~", "a.*|c.*")], ["attic", "cellar"]),
        ([Matcher("room", "=~", "tti")], []),
        ([Matcher("room", "!~", "a.*")], ["cellar", None]),
        ([Matcher("room", "=", "")], [None]),
        ([Matcher("room", "!=", ""), Matcher("room", "!=", "cellar")], ["attic"]),
    ],
)
def test_labels_are_matched_as_prometheus_does(
    matchers: list[Matcher], rooms: list[str | None]
) -> None:
    with fresh_store() as connection:
        append(
            connection,
            [
                Sample(LATENCY, (("room", "attic"),), START, 1.0),
                Sample(LATENCY, (("room", "cellar"),), START, 1.0),
                Sample(LATENCY, (), START, 1.0),
            ],
        )

        rows, _ = ask(connection, question(matchers=tuple(matchers)))

    found = {row[3].get("room") for row in rows}
    assert found == set(rooms)
    assert len(rows) == len(rooms)


def walk(
    connection: duckdb.DuckDBPyConnection, asked: SampleQuestion, newer: list[int]
) -> list[Row]:
    """All pages of a question; between two of them so many newer samples arrive."""
    found: list[Row] = []
    after: Place | None = None
    for page in itertools.count(10):
        rows, notes = ask(connection, replace(asked, after=after))
        found += rows[: asked.limit]
        if len(rows) <= asked.limit:
            return found
        after = place_of(rows[asked.limit - 1], notes["step_seconds"])
        if newer and (count := newer.pop()):
            at = START + timedelta(seconds=page)
            append(connection, [Sample(LATENCY, (("room", "attic"),), at, 3.0)] * count)
    raise AssertionError


equal_often = st.builds(
    lambda second, value, room: Sample(
        LATENCY, (("room", room),), START + timedelta(seconds=second), value
    ),
    st.integers(0, 5),
    st.sampled_from([1.0, 2.0, math.nan, math.inf, -1.0]),
    st.sampled_from(["attic", "cellar"]),
)
counts = st.lists(st.integers(0, 4), max_size=6)


def spelled(row: Row) -> tuple[object, ...]:
    """NaN is not even equal to itself."""
    return (row[0], row[1], repr(row[4]))


@settings(max_examples=40, deadline=None)
@given(
    first=st.lists(equal_often, max_size=25),
    newer=counts,
    limit=st.integers(1, 7),
)
def test_paging_shows_each_sample_once_while_newer_ones_arrive(
    first: list[Sample], newer: list[int], limit: int
) -> None:
    with fresh_store() as connection:
        if first:
            append(connection, first)
        paged = walk(connection, question(limit=limit), list(newer))
        at_once, _ = ask(connection, question())

    # What arrived after the last page was read is not in it.
    seen = [spelled(row) for row in paged]
    assert seen == [spelled(row) for row in at_once][: len(seen)]
    assert len(seen) >= len(first)


@settings(max_examples=30, deadline=None)
@given(
    first=st.lists(equal_often, max_size=25),
    newer=counts,
    limit=st.integers(1, 5),
    step=st.sampled_from([1, 2, 60]),
)
def test_paging_shows_each_bucket_once_while_newer_ones_arrive(
    first: list[Sample], newer: list[int], limit: int, step: int
) -> None:
    asked = question(step=timedelta(seconds=step), aggregates=("count",), limit=limit)
    with fresh_store() as connection:
        if first:
            append(connection, first)
        paged = walk(connection, asked, list(newer))

    keys = [(row[0], row[1]) for row in paged]
    assert keys == sorted(set(keys))
    expected = brute_force(first, LATENCY, START, START + DAY, timedelta(seconds=step))
    assert set(expected) <= set(keys)


def test_an_unknown_metric_has_no_rows() -> None:
    with fresh_store() as connection:
        assert ask(connection, question("nobody"))[0] == []
        assert ask(connection, question("nobody", step=HOUR))[0] == []
