"""What `dhmon verify` asks of the store."""

from collector.store.event_batch import EVENT_KEY
from collector.store.rollup_sql import HOURS_OF_MINUTES, MINUTES_OF_RAW

TABLES = """
SELECT table_name FROM duckdb_tables()
WHERE database_name = current_database() AND NOT temporary
ORDER BY table_name
"""
# The hash needs every value of every row, so that every block is read and its checksum compared.
READ_WHOLE = "SELECT count(*), bit_xor(hash(whole)) FROM {table} AS whole"

# Where each level can be compared with the finer one: what neither has been deleted from.
STATE = """
SELECT
    max(rolled_until) FILTER (level = 'minute'),
    max(rolled_until) FILTER (level = 'hour'),
    max(kept_since) FILTER (level IN ('raw', 'minute')),
    max(kept_since) FILTER (level IN ('minute', 'hour'))
FROM rollup_state
"""
DAYS = """
SELECT DISTINCT date_trunc('day', ts) FROM {finer}
UNION
SELECT DISTINCT date_trunc('day', ts) FROM {level}
ORDER BY ALL
"""
AHEAD = "SELECT count(*) FROM {level} WHERE ts >= $until"
# Sums are added up in another order: they may differ in their last digits, and nothing else may.
_SUSPECT = """
CREATE OR REPLACE TEMP TABLE suspect AS
WITH compared AS (
    SELECT
        coalesce(kept.series_id, computed.series_id) AS series_id,
        coalesce(kept.ts, computed.ts) AS ts,
        kept.last, kept.last_ts,
        kept.last IS DISTINCT FROM computed.last AS has_other_last,
        kept.count IS DISTINCT FROM computed.count
        OR kept.min IS DISTINCT FROM computed.min
        OR kept.max IS DISTINCT FROM computed.max
        OR kept.last_ts IS DISTINCT FROM computed.last_ts
        OR list_sort(map_entries(kept.buckets))
            IS DISTINCT FROM list_sort(map_entries(computed.buckets))
        OR NOT coalesce(
            kept.sum = computed.sum
            OR abs(kept.sum - computed.sum)
                <= 1e-12 * kept.count * greatest(abs(kept.min), abs(kept.max)),
            FALSE
        ) AS is_different
    FROM ({computed}) AS computed
    FULL JOIN (SELECT * FROM {level} WHERE ts >= $start AND ts < $until) AS kept
        ON kept.series_id = computed.series_id AND kept.ts = computed.ts
)
SELECT * FROM compared
WHERE (is_different OR has_other_last)
AND (series_id, ts) NOT IN (SELECT (series_id, date_trunc('{unit}', ts)) FROM rollup_late)
"""
MINUTE_SUSPECTS = _SUSPECT.format(computed=MINUTES_OF_RAW, level="samples_minute", unit="minute")
HOUR_SUSPECTS = _SUSPECT.format(computed=HOURS_OF_MINUTES, level="samples_hour", unit="hour")
# Of two samples at the same instant either may have been the last.
DIFFERENT = """
SELECT count(*) FROM suspect
WHERE is_different OR NOT EXISTS (
    FROM samples AS s
    WHERE s.series_id = suspect.series_id AND s.ts = suspect.last_ts AND s.value = suspect.last
)
"""
DIFFERENT_HOURS = "SELECT count(*) FROM suspect"
# How many there are, and how many of them are there twice.
EXAMINED = """
SELECT count(*), count(*) - count(DISTINCT (series_id, ts))
FROM {level} WHERE ts >= $start AND ts < $until
"""

COUNT_EVENTS = "SELECT count(*) FROM events"
REPEATED_EVENTS = """
SELECT coalesce(sum(copies - 1), 0) FROM (
    SELECT count(*) AS copies FROM events
    WHERE event_key % $slices = $slice
    GROUP BY key_id, event_id
    HAVING copies > 1
)
"""
WRONG_KEYS = f"SELECT count(*) FROM events WHERE event_key <> {EVENT_KEY}"  # noqa: S608 - constants
UNKNOWN_SERIES = """
SELECT count(*) FROM (SELECT series_id, count(*) AS rows FROM {table} GROUP BY series_id) AS used
ANTI JOIN series USING (series_id)
"""
COUNT_SERIES = "SELECT count(DISTINCT series_id) FROM {table}"
