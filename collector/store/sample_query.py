"""Samples by metric, labels and time: the question, and the statement that answers it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import duckdb
import msgspec

from collector.store.result import Row, Statement
from collector.store.sample_levels import Levels, choose_levels
from collector.store.sample_sql import AGGREGATES, PERCENTS, rows_sql, samples_sql

# These have "seconds" in their names but are moments and ages, not latencies.
NO_LATENCIES = ("_timestamp_seconds", "_uptime_seconds")
AGGREGATE_NAMES = (*AGGREGATES, *PERCENTS)
MATCHERS = {
    "=": "{label} = {value}",
    "!=": "{label} <> {value}",
    "=~": "regexp_full_match({label}, {value})",
    "!~": "NOT regexp_full_match({label}, {value})",
}
# A label that is not there is an empty one, as in Prometheus.
LABEL = "coalesce(map_extract_value(labels, {name}), '')"
PARAMETER = re.compile(r"\$(\w+)")


@dataclass(frozen=True, slots=True)
class Matcher:
    label: str
    operator: Literal["=", "!=", "=~", "!~"]
    value: str


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: the last row's time and series; of a sample also value and number.

    `step` in microseconds is the one that the pages before had; 0 for samples.
    """

    at: datetime
    series_id: int
    step: int
    value: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class SampleQuestion:
    """`step` None asks for the samples themselves, else for `aggregates` over steps."""

    metric: str
    matchers: tuple[Matcher, ...]
    start: datetime
    until: datetime
    step: timedelta | None
    aggregates: tuple[str, ...]
    limit: int
    after: Place | None = None


def planner(question: SampleQuestion) -> Callable[[duckdb.DuckDBPyConnection], Statement]:
    """What makes the statement, in the transaction that it is then run in."""

    def plan(cursor: duckdb.DuckDBPyConnection) -> Statement:
        levels = _levels(cursor, question)
        matchers, values = _matching(question.matchers)
        if levels.step is None:
            sql, hidden = samples_sql(matchers), 1
        else:
            is_latency = _is_latency(question.metric)
            sql = rows_sql(levels, list(question.aggregates), matchers, is_latency=is_latency)
            hidden = 0
        used = set(PARAMETER.findall(sql))
        known = _parameters(question, levels) | values
        return Statement(
            sql=sql,
            parameters={name: known[name] for name in used},
            hidden=hidden,
            notes={"level": levels.name, "step_seconds": _seconds(levels.step)},
        )

    return plan


def place_of(row: Row, step_seconds: Any) -> Place:
    """Where a page ends whose last row, hidden columns included, this is."""
    at, series_id = row[0], row[1]
    if step_seconds is None:
        return Place(at, series_id, 0, repr(row[4]), row[5])
    return Place(at, series_id, round(step_seconds * 1_000_000))


def _levels(cursor: duckdb.DuckDBPyConnection, question: SampleQuestion) -> Levels:
    start, step = question.start, question.step
    if question.after is not None:
        start = question.after.at
        step = timedelta(microseconds=question.after.step) if step is not None else None
    asks_quantile = not PERCENTS.keys().isdisjoint(question.aggregates)
    needs_raw = asks_quantile and not _is_latency(question.metric)
    return choose_levels(cursor, step, start, question.until, needs_raw=needs_raw)


def _is_latency(metric: str) -> bool:
    """As the roll-ups decide it (rollup_sql.py)."""
    return metric.endswith("_seconds") and not metric.endswith(NO_LATENCIES)


def _matching(matchers: tuple[Matcher, ...]) -> tuple[str, dict[str, object]]:
    sql, values = "", dict[str, object]()
    for number, matcher in enumerate(matchers):
        name, value = f"label_{number}", f"matches_{number}"
        label = LABEL.format(name=f"${name}")
        sql += " AND " + MATCHERS[matcher.operator].format(label=label, value=f"${value}")
        values |= {name: matcher.label, value: matcher.value}
    return sql, values


def _parameters(question: SampleQuestion, levels: Levels) -> dict[str, object]:
    after = question.after
    return {
        "metric": question.metric,
        "start": levels.start,
        "hour_until": levels.hour_until,
        "minute_until": levels.minute_until,
        "until": levels.until,
        "raw_since": levels.raw_since,
        "minute_since": levels.minute_since,
        "step": levels.step // timedelta(microseconds=1) if levels.step else None,
        "limit": question.limit + 1,
        "at": after.at if after else None,
        "id": after.series_id if after else None,
        "value": after.value if after else None,
        "skip": after.number if after else 0,
    }


def _seconds(step: timedelta | None) -> float | None:
    return None if step is None else step.total_seconds()
