"""The numbers of the overview that are computed from probe results."""

from dataclasses import dataclass
from datetime import datetime

from collector.store.store import Store

# Runs in a maintenance window, and runs that say nothing about the target, count for nothing.
# Without any critical target every target counts.
AVAILABILITY = """
WITH counted AS (
    SELECT name, ts, critical, verdict
    FROM probe_results
    WHERE ts >= $since AND NOT in_maintenance AND verdict <> 'unknown'
),
by_target AS (
    SELECT name, avg(CAST(verdict = 'up' AS DOUBLE)) AS share, min(ts) AS first, max(ts) AS last
    FROM counted
    WHERE critical OR NOT EXISTS (SELECT 1 FROM counted WHERE critical)
    GROUP BY name
)
SELECT avg(share) AS value, min(first) AS first_at, max(last) AS last_at, count(*) AS count
FROM by_target
"""
RESPONSE_TIME = """
SELECT avg(duration_seconds) AS value, min(ts) AS first_at, max(ts) AS last_at, count(*) AS count
FROM probe_results
WHERE ts >= $since AND NOT in_maintenance AND verdict = 'up' AND type = 'http'
"""
ERROR_RATE = """
SELECT
    sum(failed_attempts) / nullif(sum(attempts), 0) AS value,
    min(ts) AS first_at,
    max(ts) AS last_at,
    count(*) AS count
FROM probe_results
WHERE ts >= $since AND NOT in_maintenance AND verdict <> 'unknown'
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """A value over what was found between `first_at` and `last_at`; all None when `count` is 0."""

    value: float | None
    first_at: datetime | None
    last_at: datetime | None
    count: int


async def availability(store: Store, since: datetime) -> Figure:
    """Share of successful runs since then: the mean over critical targets of each one's share."""
    return await _figure(store, AVAILABILITY, since)


async def response_time(store: Store, since: datetime) -> Figure:
    """Mean duration in seconds of successful HTTP probes."""
    return await _figure(store, RESPONSE_TIME, since)


async def error_rate(store: Store, since: datetime) -> Figure:
    """Share of failed attempts among all attempts, retries included."""
    return await _figure(store, ERROR_RATE, since)


async def _figure(store: Store, sql: str, since: datetime) -> Figure:
    rows = await store.fetch(Figure, sql, {"since": since})
    return rows[0]
