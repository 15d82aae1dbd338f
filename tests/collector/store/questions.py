"""Questions that people ask about our tables, with what they have to be answered."""

from datetime import UTC, datetime

# When the samples were taken: 30 degrees in the attic, 10 in the cellar, 20 in the hall.
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)

QUESTIONS: list[tuple[str, list[object], list[tuple[object, ...]]]] = [
    (
        "SELECT replace(replace(metric, 'temp', ''), 'ture', '-') FROM series LIMIT 1",
        [],
        [("era-",)],
    ),
    (
        "SELECT 1",
        [],
        [(1,)],
    ),
    (
        "SELECT 1;",
        [],
        [(1,)],
    ),
    (
        "-- a comment\nSELECT 1 /* another */",
        [],
        [(1,)],
    ),
    (
        "SELECT $1 + $2",
        [1, 2],
        [(3,)],
    ),
    (
        "SELECT ? || ?",
        ["a", "b"],
        [("ab",)],
    ),
    (
        "FROM series SELECT count(*)",
        [],
        [(3,)],
    ),
    (
        "TABLE clicks",
        [],
        [],
    ),
    (
        "VALUES (1), (2)",
        [],
        [(1,), (2,)],
    ),
    (
        "SELECT count(*) FROM main.samples",
        [],
        [(3,)],
    ),
    (
        "SELECT COUNT(*) FROM SAMPLES",
        [],
        [(3,)],
    ),
    (
        "SELECT labels['room'], value FROM samples JOIN series USING (series_id) ORDER BY value",
        [],
        [("cellar", 10.0), ("hall", 20.0), ("attic", 30.0)],
    ),
    (
        "WITH warm AS (SELECT * FROM samples WHERE value > ?) SELECT max(value) FROM warm",
        [15],
        [(30.0,)],
    ),
    (
        "WITH RECURSIVE n AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM n WHERE x < 4) "
        "SELECT sum(x) FROM n",
        [],
        [(10,)],
    ),
    (
        "WITH samples AS (SELECT value FROM samples) SELECT count(*) FROM samples",
        [],
        [(3,)],
    ),
    (
        "SELECT value, row_number() OVER (ORDER BY value DESC), lag(value) OVER w, "
        "sum(value) OVER (ORDER BY value ROWS 1 PRECEDING) FROM samples WINDOW w AS "
        "(ORDER BY value) ORDER BY value LIMIT 2",
        [],
        [(10.0, 3, None, 10.0), (20.0, 2, 10.0, 30.0)],
    ),
    (
        "SELECT median(value), quantile_cont(value, 0.25) FROM samples",
        [],
        [(20.0, 15.0)],
    ),
    (
        "SELECT quantile_disc(value, [0.5, 0.9]) FROM samples",
        [],
        [([20.0, 30.0],)],
    ),
    (
        "SELECT value FROM samples QUALIFY rank() OVER (ORDER BY value) = 1",
        [],
        [(10.0,)],
    ),
    (
        "SELECT list_transform(map_keys(labels), lambda k: upper(k)) FROM series LIMIT 1",
        [],
        [(["ROOM"],)],
    ),
    (
        "SELECT [x * 2 FOR x IN [1, 2, 3] IF x > 1]",
        [],
        [([4, 6],)],
    ),
    (
        "SELECT list_sort(map_values(map {'a': 2, 'b': 1}))",
        [],
        [([1, 2],)],
    ),
    (
        "SELECT a.value, b.x FROM samples AS a ASOF JOIN (VALUES (0, 'low'), (15, "
        "'high')) AS b(y, x) ON a.value >= b.y ORDER BY a.value",
        [],
        [(10.0, "low"), (20.0, "high"), (30.0, "high")],
    ),
    (
        "SELECT * FROM (SELECT 'x' AS k, value FROM samples) PIVOT (sum(value) FOR k IN "
        "('x', 'y'))",
        [],
        [(60.0, None)],
    ),
    (
        "UNPIVOT (SELECT 1 AS a, 2 AS b) ON a, b",
        [],
        [("a", 1), ("b", 2)],
    ),
    (
        "SELECT value FROM samples WHERE value = (SELECT max(value) FROM samples)",
        [],
        [(30.0,)],
    ),
    (
        "SELECT count(*) FROM samples AS s WHERE EXISTS (FROM series WHERE "
        "series.series_id = s.series_id AND labels['room'] <> 'hall')",
        [],
        [(2,)],
    ),
    (
        "SELECT value FROM samples WHERE value IN (10, 30) ORDER BY ALL",
        [],
        [(10.0,), (30.0,)],
    ),
    (
        "SELECT date_trunc('hour', ts), time_bucket(INTERVAL '1 day', ts) = "
        "date_trunc('day', ts) FROM samples LIMIT 1",
        [],
        [(AT, True)],
    ),
    (
        "SELECT CAST('1.50' AS DECIMAL(9, 2))::VARCHAR, TRY_CAST('x' AS INTEGER)",
        [],
        [("1.50", None)],
    ),
    (
        "SELECT CASE WHEN true THEN 'a' ELSE 'b' END, coalesce(NULL, 1), nullif(1, 1)",
        [],
        [("a", 1, None)],
    ),
    (
        "SELECT 'abc' LIKE 'a%', 'ABC' ILIKE 'a__', 2 BETWEEN 1 AND 3",
        [],
        [(True, True, True)],
    ),
    (
        "SELECT 1 UNION SELECT 2 EXCEPT SELECT 1",
        [],
        [(2,)],
    ),
    (
        "SELECT DISTINCT ON (metric) metric FROM series",
        [],
        [("temperature",)],
    ),
    (
        "SELECT metric, count(*) FROM series GROUP BY ROLLUP (metric) ORDER BY ALL",
        [],
        [("temperature", 3), (None, 3)],
    ),
    (
        "SELECT count(*) FILTER (value > 15), string_agg(metric, ',') FROM samples JOIN "
        "series USING (series_id)",
        [],
        [(2, "temperature,temperature,temperature")],
    ),
    (
        "SELECT * EXCLUDE (ts, series_id) FROM samples ORDER BY ALL LIMIT 1",
        [],
        [(10.0,)],
    ),
    (
        "SELECT max(COLUMNS('val.*')) FROM samples",
        [],
        [(30.0,)],
    ),
    (
        "SELECT unnest(u) FROM (SELECT [1, 2] AS u)",
        [],
        [(1,), (2,)],
    ),
    (
        "SELECT sum(range) FROM range(5)",
        [],
        [(10,)],
    ),
    (
        "SELECT {'a': 1}.a, row(1, 2), [1, 2, 3][2:]",
        [],
        [(1, (1, 2), [2, 3])],
    ),
    (
        "SELECT '{\"a\": [1]}'::JSON ->> '$.a[0]', json_extract_string('{\"a\": 1}', 'a')",
        [],
        [("1", "1")],
    ),
    (
        "SELECT extract(year FROM TIMESTAMPTZ '2026-11-23 12:00:00+00'), age(DATE "
        "'2026-11-23', DATE '2026-11-22') = INTERVAL 1 DAY",
        [],
        [(2026, True)],
    ),
    (
        "SELECT regexp_replace('abc', 'b', 'x'), split_part('a-b', '-', 2), length('abc')",
        [],
        [("axc", "b", 3)],
    ),
    (
        "SELECT count(*) FROM platform_metrics",
        [],
        [(0,)],
    ),
    (
        "SELECT count(*) FROM affiliate_performance",
        [],
        [(0,)],
    ),
    (
        "SELECT count(*) FROM clicks, incidents",
        [],
        [(0,)],
    ),
    (
        "SELECT table_name FROM information_schema.tables WHERE table_name = 'events'",
        [],
        [("events",)],
    ),
    (
        "SELECT count(*) FROM information_schema.columns WHERE table_name = 'samples'",
        [],
        [(3,)],
    ),
    (
        "SELECT column_name FROM (DESCRIBE samples)",
        [],
        [("series_id",), ("ts",), ("value",)],
    ),
    (
        "SELECT max FROM (SUMMARIZE SELECT value FROM samples)",
        [],
        [("30.0",)],
    ),
]
