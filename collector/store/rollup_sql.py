"""The queries behind the roll-ups: raw rows to buckets, and buckets to coarser ones."""

# What a commit has just inserted is `batch`; the minutes that it reached too late are noted.
MARK_LATE = """
INSERT INTO rollup_late
SELECT DISTINCT series_id, date_trunc('minute', ts)
FROM batch
WHERE ts < (SELECT rolled_until FROM rollup_state WHERE level = 'minute')
"""
# Only latencies have buckets: their quantiles are asked for. NaN is no measurement.
_OF_RAW = """
SELECT
    series_id,
    date_trunc('{unit}', ts) AS ts,
    CAST(count(*) AS UBIGINT) AS count,
    sum(value) AS sum,
    min(value) AS min,
    max(value) AS max,
    arg_max(value, ts) AS last,
    max(ts) AS last_ts,
    CAST(histogram(
        CASE
            WHEN NOT is_latency THEN NULL
            WHEN value <= 0 THEN -32768
            WHEN isinf(value) THEN 32767
            ELSE CAST(floor(8 * log2(value)) AS SMALLINT)
        END
    ) AS MAP(SMALLINT, UBIGINT)) AS buckets
FROM {rows}
JOIN (
    SELECT
        series_id,
        suffix(metric, '_seconds')
        AND NOT suffix(metric, '_timestamp_seconds')
        AND NOT suffix(metric, '_uptime_seconds') AS is_latency
    FROM series
) USING (series_id)
WHERE NOT isnan(value)
GROUP BY ALL
"""
# `part` holds rows of one level, several of a bucket perhaps.
_JOINED = """
SELECT
    part.series_id AS series_id,
    date_trunc('{unit}', part.ts) AS ts,
    CAST(sum(part.count) AS UBIGINT) AS count,
    sum(part.sum) AS sum,
    min(part.min) AS min,
    max(part.max) AS max,
    arg_max(part.last, part.last_ts) AS last,
    max(part.last_ts) AS last_ts,
    any_value(joined.buckets) AS buckets
FROM {part} AS part
LEFT JOIN (
    SELECT series_id, ts, map_from_entries(list((key, value))) AS buckets
    FROM (
        SELECT series_id, ts, entry.key AS key, CAST(sum(entry.value) AS UBIGINT) AS value
        FROM (
            SELECT
                series_id, date_trunc('{unit}', ts) AS ts, unnest(map_entries(buckets)) AS entry
            FROM {part} AS entries
        )
        GROUP BY ALL
    )
    GROUP BY ALL
) AS joined
    ON joined.series_id = part.series_id AND joined.ts = date_trunc('{unit}', part.ts)
GROUP BY ALL
"""
_RAW_SPAN = "(SELECT * FROM samples WHERE ts >= $start AND ts < $until)"
_RAW_LATE = """(
    SELECT samples.* FROM samples
    SEMI JOIN late
        ON late.series_id = samples.series_id AND late.ts = date_trunc('minute', samples.ts)
    WHERE samples.ts >= $start AND samples.ts < $until
)"""
_MINUTE_SPAN = "(SELECT * FROM samples_minute WHERE ts >= $start AND ts < $until)"

MINUTES_OF_RAW = _OF_RAW.format(unit="minute", rows=_RAW_SPAN)
MINUTES_OF_LATE = _OF_RAW.format(unit="minute", rows=_RAW_LATE)
HOURS_OF_RAW = _OF_RAW.format(unit="hour", rows=_RAW_SPAN)
HOURS_OF_MINUTES = _JOINED.format(unit="hour", part=_MINUTE_SPAN)
JOIN_MINUTES = _JOINED.format(unit="minute", part="part")
JOIN_HOURS = _JOINED.format(unit="hour", part="part")
