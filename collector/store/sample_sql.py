"""The SQL behind `/api/v1/samples`, put together from the parts that a question needs."""

from collector.store.sample_levels import Levels

CHOSEN = "chosen AS (SELECT series_id, metric, labels FROM series WHERE metric = $metric{matchers})"
# Minutes that got rows after they were rolled up, and the hours with such minutes, where the rows
# to compute them anew are still there. Where they are not, only the late rows themselves are, and
# are to be added to what the roll-up has.
LATE = """
late AS (
    SELECT DISTINCT series_id, ts FROM rollup_late
    WHERE ts >= $start AND ts < $minute_until AND series_id IN (SELECT series_id FROM chosen)
),
late_minutes AS (SELECT * FROM late WHERE $raw_since IS NULL OR ts >= $raw_since),
late_hours AS (
    SELECT DISTINCT series_id, date_trunc('hour', ts) AS ts FROM late
    WHERE ts < $hour_until AND ($minute_since IS NULL OR ts >= $minute_since)
)
"""
COLUMNS = "series_id, ts, count, sum, min, max, last, last_ts, {buckets}, CAST(NULL AS SMALLINT)"
ROLLED = """
SELECT {columns} AS key FROM {table} AS rolled
WHERE ts >= ${start} AND ts < ${until} AND series_id IN (SELECT series_id FROM chosen)
"""
NOT_LATE = """
AND NOT EXISTS (
    FROM {late} AS late WHERE late.series_id = rolled.series_id AND late.ts = rolled.ts
)
"""
MINUTES_OF_LATE_HOURS = """
SELECT {columns} AS key FROM samples_minute AS rolled
WHERE ts >= $start AND ts < $hour_until AND EXISTS (
    FROM late_hours AS late
    WHERE late.series_id = rolled.series_id AND late.ts = date_trunc('hour', rolled.ts)
)
"""
RAW = """
SELECT
    series_id, ts, CAST(1 AS UBIGINT) AS count, value AS sum, value AS min, value AS max,
    value AS last, ts AS last_ts, CAST(NULL AS MAP(SMALLINT, UBIGINT)) AS buckets, {key} AS key
FROM samples
WHERE NOT isnan(value) AND ts >= ${start} AND ts < ${until}
  AND series_id IN (SELECT series_id FROM chosen)
"""
ONLY_LATE = """
AND EXISTS (
    FROM late
    WHERE late.series_id = samples.series_id AND late.ts = date_trunc('minute', samples.ts)
)
"""
# The bucket that a roll-up would count the value in.
KEY = """
CASE
    WHEN value <= 0 THEN CAST(-32768 AS SMALLINT)
    WHEN isinf(value) THEN CAST(32767 AS SMALLINT)
    ELSE CAST(floor(8 * log2(value)) AS SMALLINT)
END
"""
NO_KEY = "CAST(NULL AS SMALLINT)"
BUCKET = "time_bucket(to_microseconds($step), ts, TIMESTAMPTZ 'epoch')"
AGGREGATES = {
    "avg": "sum(sum) / sum(count)",
    "min": "min(min)",
    "max": "max(max)",
    "sum": "sum(sum)",
    "count": "CAST(sum(count) AS UBIGINT)",
    "last": "arg_max(last, last_ts)",
}
PERCENTS = {"p50": 50, "p90": 90, "p95": 95, "p99": 99}
# The smallest value with at least so many per cent of all at or below it.
EXACT = "quantile_disc(last, {percent} / 100)"
# How many values are in each bucket of each row, and how many up to there.
RANKED = """
keyed AS (
    SELECT bucket, series_id, key, sum(n) AS n
    FROM (
        SELECT {bucket} AS bucket, series_id, key, 1 AS n FROM part WHERE key IS NOT NULL
        UNION ALL
        SELECT bucket, series_id, entry.key, entry.value
        FROM (
            SELECT {bucket} AS bucket, series_id, unnest(map_entries(buckets)) AS entry
            FROM part
            WHERE buckets IS NOT NULL
        )
    )
    GROUP BY bucket, series_id, key
),
ranked AS (
    SELECT
        bucket, series_id, key,
        sum(n) OVER (PARTITION BY bucket, series_id ORDER BY key) AS upto,
        sum(n) OVER (PARTITION BY bucket, series_id) AS total
    FROM keyed
),
quantiles AS (
    SELECT bucket, series_id, {keys} FROM ranked GROUP BY bucket, series_id
)
"""
QUANTILE_KEY = "min(key) FILTER (100 * upto >= {percent} * total) AS {name}"
# The middle of the bucket on the scale of ratios: no value in it is further than 2^(1/16) away.
QUANTILE = """
least(greatest(
    CASE {name}
        WHEN -32768 THEN 0
        WHEN 32767 THEN CAST('inf' AS DOUBLE)
        ELSE pow(2, (CAST({name} AS DOUBLE) + 0.5) / 8)
    END, lowest), highest)
"""
ROWS = """
answer AS (
    SELECT {bucket} AS bucket, series_id, {aggregates} FROM part GROUP BY ALL
)
SELECT bucket AS ts, series_id, metric, labels, {columns}
FROM answer
JOIN chosen USING (series_id)
{join}
WHERE ($at IS NULL OR (bucket, series_id) > (CAST($at AS TIMESTAMPTZ), CAST($id AS UBIGINT)))
ORDER BY bucket, series_id
LIMIT $limit
"""
# Samples have no key of their own: equal ones are told apart by their number.
SAMPLES = """
WITH {chosen},
page AS (
    SELECT ts, series_id, value FROM samples
    WHERE ts >= $start AND ts < $until AND series_id IN (SELECT series_id FROM chosen)
      AND ($at IS NULL OR (ts, series_id, value)
          >= (CAST($at AS TIMESTAMPTZ), CAST($id AS UBIGINT), CAST($value AS DOUBLE)))
    ORDER BY ts, series_id, value
    LIMIT $limit OFFSET $skip
)
SELECT
    ts, series_id, metric, labels, value,
    row_number() OVER (PARTITION BY ts, series_id, value)
    + CASE
        WHEN ts = CAST($at AS TIMESTAMPTZ)
            AND series_id = CAST($id AS UBIGINT)
            AND value = CAST($value AS DOUBLE)
        THEN $skip ELSE 0
    END AS number
FROM page
JOIN chosen USING (series_id)
ORDER BY ts, series_id, value, number
"""


def samples_sql(matchers: str) -> str:
    """The samples themselves."""
    return SAMPLES.format(chosen=CHOSEN.format(matchers=matchers))


def rows_sql(levels: Levels, aggregates: list[str], matchers: str, *, is_latency: bool) -> str:
    """One row for each series and bucket."""
    wanted = [name for name in aggregates if name in PERCENTS]
    from_buckets = bool(wanted) and not levels.is_raw and is_latency
    tables = [CHOSEN.format(matchers=matchers)]
    if levels.has_late:
        tables.append(LATE)
    tables.append(f"part AS ({_part(levels, with_buckets=from_buckets)})")
    if from_buckets:
        keys = [QUANTILE_KEY.format(percent=PERCENTS[name], name=name) for name in wanted]
        tables.append(RANKED.format(bucket=BUCKET, keys=", ".join(keys)))
    columns = [_column(name, from_buckets=from_buckets) for name in aggregates]
    rows = ROWS.format(
        bucket=BUCKET,
        aggregates=", ".join(_computed(aggregates, levels, from_buckets=from_buckets)),
        columns=", ".join(columns),
        join="LEFT JOIN quantiles USING (bucket, series_id)" if from_buckets else "",
    )
    return "WITH " + ",\n".join([*tables, rows])


def _part(levels: Levels, *, with_buckets: bool) -> str:
    """Rows of all levels in one shape, each value in exactly one of them."""
    buckets = "buckets" if with_buckets else "NULL AS buckets"
    columns = COLUMNS.format(buckets=buckets)
    key = KEY if with_buckets else NO_KEY
    parts = []
    for table, late, start, until in (
        ("samples_hour", "late_hours", "start", "hour_until"),
        ("samples_minute", "late_minutes", "hour_until", "minute_until"),
    ):
        if getattr(levels, start) < getattr(levels, until):
            rolled = ROLLED.format(columns=columns, table=table, start=start, until=until)
            parts.append(rolled + (NOT_LATE.format(late=late) if levels.has_late else ""))
    if levels.has_late:
        if levels.has_hours:
            minutes = MINUTES_OF_LATE_HOURS.format(columns=columns)
            parts.append(minutes + NOT_LATE.format(late="late_minutes"))
        parts.append(RAW.format(key=key, start="start", until="minute_until") + ONLY_LATE)
    parts.append(RAW.format(key=key, start="minute_until", until="until"))
    return " UNION ALL ".join(parts)


def _computed(aggregates: list[str], levels: Levels, *, from_buckets: bool) -> list[str]:
    computed = [f"{AGGREGATES[name]} AS {name}" for name in aggregates if name in AGGREGATES]
    wanted = [name for name in aggregates if name in PERCENTS]
    if from_buckets:
        return [*computed, "min(min) AS lowest", "max(max) AS highest"]
    if levels.is_raw:
        return computed + [f"{EXACT.format(percent=PERCENTS[name])} AS {name}" for name in wanted]
    return computed + [f"CAST(NULL AS DOUBLE) AS {name}" for name in wanted]


def _column(name: str, *, from_buckets: bool) -> str:
    if from_buckets and name in PERCENTS:
        return QUANTILE.format(name=name) + f" AS {name}"
    return f"answer.{name}"
