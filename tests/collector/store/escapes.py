"""Ways out of the SQL sandbox that have been thought of; every one has to be refused."""

FILES = """
FROM '/etc/passwd'
FROM 'x.csv'
FROM "/etc/passwd"
SELECT * FROM './data/*.parquet'
SELECT * FROM read_csv('/etc/passwd')
SELECT * FROM read_csv_auto('/etc/passwd')
SELECT * FROM read_text('/proc/self/environ')
SELECT * FROM read_blob('/etc/shadow')
SELECT * FROM read_json('/etc/x.json')
SELECT * FROM read_json_objects('x')
SELECT * FROM read_ndjson('x')
SELECT * FROM read_parquet('x.parquet')
SELECT * FROM parquet_scan('x.parquet')
SELECT * FROM parquet_metadata('x.parquet')
SELECT * FROM sniff_csv('/etc/passwd')
SELECT * FROM glob('/*')
SELECT * FROM READ_TEXT('/etc/passwd')
SELECT * FROM main.read_text('/etc/passwd')
SELECT * FROM system.main.read_text('/etc/passwd')
SELECT * FROM "read_text"('/etc/passwd')
SELECT (SELECT content FROM read_text('/etc/passwd'))
SELECT 1 WHERE EXISTS (FROM read_text('/etc/passwd'))
SELECT 1 ORDER BY (SELECT count(*) FROM glob('/*'))
SELECT 1 LIMIT (SELECT count(*) FROM glob('/*'))
SELECT sum(value) OVER (ORDER BY (SELECT count(*) FROM glob('/*'))) FROM samples
SELECT * FROM samples, LATERAL (SELECT * FROM glob('/*'))
SELECT * FROM range((SELECT count(*) FROM glob('/*')))
WITH a AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM a
SELECT list_transform([1], lambda x: (SELECT count(*) FROM glob('/*')))
FROM (VALUES ((SELECT content FROM read_text('/etc/passwd'))))
PIVOT read_text('/etc/passwd') ON filename IN ('a') USING count(*)
SELECT 1 UNION ALL SELECT size FROM read_text('/etc/passwd')
DESCRIBE SELECT * FROM read_csv('/etc/passwd')
SUMMARIZE 'x.csv'
COPY samples TO '/tmp/out.csv'
COPY (SELECT 1) TO '/tmp/out.csv'
COPY samples FROM '/tmp/in.csv'
EXPORT DATABASE '/tmp/out'
IMPORT DATABASE '/tmp/out'
SELECT * FROM read_duckdb('/tmp/other.duckdb')
FROM 'https://example.com/x.csv'
FROM 's3://bucket/x.parquet'
"""
SETTINGS = """
SELECT getenv('HOME')
SELECT current_setting('temp_directory')
SELECT * FROM duckdb_settings()
FROM duckdb_settings
FROM duckdb_databases()
FROM duckdb_databases
FROM duckdb_secrets()
FROM which_secret('s3://x', 's3')
FROM duckdb_extensions()
FROM duckdb_functions()
FROM duckdb_logs
FROM duckdb_temporary_files()
FROM duckdb_tables()
FROM duckdb_views
FROM pg_catalog.pg_settings
FROM pg_settings
FROM sqlite_master
FROM information_schema.schemata
FROM information_schema.key_column_usage
SELECT current_database()
SELECT getvariable('x')
SELECT * FROM pragma_database_size()
CALL pragma_version()
PRAGMA database_list
PRAGMA table_info('samples')
SHOW DATABASES
SHOW ALL TABLES
SHOW TABLES
FROM (SHOW DATABASES)
FROM (SHOW ALL TABLES)
SET memory_limit = '1TB'
SET VARIABLE x = 1
RESET memory_limit
LOAD httpfs
INSTALL httpfs
ATTACH '/tmp/x.duckdb' AS x
DETACH monitor
USE system
CREATE SECRET s (TYPE s3)
FROM pg_timezone_names()
SELECT pg_get_viewdef(1)
"""
WRITES = """
DELETE FROM samples
DROP TABLE samples
INSERT INTO samples VALUES (1, now(), 1)
UPDATE samples SET value = 0
TRUNCATE samples
CREATE TABLE x AS SELECT 1
CREATE TEMP TABLE x AS SELECT 1
CREATE MACRO f() AS 1
CREATE VIEW v AS SELECT 1
ALTER TABLE samples ADD COLUMN x INTEGER
CHECKPOINT
VACUUM
ANALYZE
BEGIN
COMMIT
PREPARE p AS SELECT 1
EXECUTE p
EXPLAIN ANALYZE DELETE FROM samples
WITH x AS (DELETE FROM samples RETURNING *) SELECT * FROM x
WITH x AS (INSERT INTO samples VALUES (1, now(), 1) RETURNING *) SELECT * FROM x
WITH x AS (UPDATE samples SET value = 0 RETURNING *) SELECT * FROM x
SELECT nextval('s')
SELECT currval('s')
SELECT setseed(0.5)
SELECT write_log('x')
FROM checkpoint()
FROM force_checkpoint()
FROM enable_logging()
MERGE INTO samples USING series ON true WHEN MATCHED THEN DELETE
COMMENT ON TABLE samples IS 'x'
"""
TRICKS = r"""
SELECT 1; SELECT 2
SELECT 1; DROP TABLE samples
SELECT 1;; DELETE FROM samples
SELECT 1 /* ; */ ; DROP TABLE samples --
FROM query('SELECT 1')
FROM query_table('samples')
FROM query_table(['samples', 'series'])
SELECT json_serialize_sql('SELECT 1')
FROM json_execute_serialized_sql('{}')
PRAGMA json_execute_serialized_sql('{}')
FROM samples AT (VERSION => 1)
FROM samples AT (TIMESTAMP => now())
SELECT * FROM other.main.samples
SELECT * FROM system.main.duckdb_settings
SELECT * FROM temp.main.x
FROM pg_class
WITH RECURSIVE pg_class AS (FROM pg_class UNION ALL FROM pg_class) FROM pg_class
WITH duckdb_settings AS (FROM duckdb_settings) FROM duckdb_settings
WITH a AS (FROM duckdb_settings), duckdb_settings AS (SELECT 1) FROM a
SELECT (WITH duckdb_settings AS (SELECT 1) SELECT 1), (SELECT count(*) FROM duckdb_settings)
FROM (WITH duckdb_settings AS (SELECT 1) SELECT 1), duckdb_settings
WITH duckdb_settings AS (SELECT 1) FROM main.duckdb_settings
WITH duckdb_settings AS (SELECT 1) FROM system.main.duckdb_settings
SELECT (1).query_table()
SELECT 'x'.getenv()
SELECT CAST('x' AS nosuchtype)
SELECT CAST('x' AS geometry)
SELECT CAST('x' AS main.nosuchtype)
SELECT 'a' COLLATE de_DE
SELECT list_aggregate([1], 'sum')
SELECT aggregate([1], 'sum')
SELECT list_reduce(['x'], lambda a, b: a || a)
SELECT repeat('x', 1000000000)
SELECT lpad('x', 1000000000, 'y')
SELECT rpad('x', 1000000000, 'y')
SELECT format('{:1000000000}', 1)
SELECT printf('%1000000000d', 1)
SELECT range(1000000000)
SELECT generate_series(1, 1000000000)
SELECT list_resize([1], 1000000000)
SELECT bar(1, 0, 1, 1000000000)
SELECT pg_sleep(100)
SELECT sleep_ms(100000)
FROM repeat('x', 1000000000)
FROM test_all_types()
FROM seq_scan('samples')
FROM duckdb_columns()
FROM summary(samples)
FROM arrow_scan(1, 2, 3)
FROM pandas_scan(1)
FROM python_map_function(1)
FROM batch
FROM events_of_nobody
SELECT sum(value) EXPORT_STATE FROM samples
SELECT finalize('x')
SELECT from_json('{}', '{"a": "VARCHAR"}')
SELECT json_transform('{}', '{"a": "VARCHAR"}')
SELECT stats(value) FROM samples
SELECT txid_current()
SELECT DEFAULT
VALUES (DEFAULT)
EXECUTE IMMEDIATE 'SELECT 1'
PIVOT samples ON series_id USING sum(value)
"""


def _lines(text: str) -> list[str]:
    return [line for line in text.strip().splitlines() if line]


ESCAPES = [
    *_lines(FILES),
    *_lines(SETTINGS),
    *_lines(WRITES),
    *_lines(TRICKS),
    "",
    "   ",
    ";",
    "-- nothing",
    "SELECT replace('x', 'x', '" + "y" * 1001 + "')",
    "SELECT " + "replace(" * 4 + "'x'" + ", 'x', 'xxxxxxxx')" * 4,
    "SELECT regexp_replace('x', '.', metric, 'g') FROM series",
    "SELECT replace('x', 'x', $1)",
    # The Kelvin sign: a small k to Python, not to DuckDB.
    'WITH "duc\u212adb_settings" AS (SELECT 1) FROM duckdb_settings',
    "SELECT 1\0; DROP TABLE samples",
    "SELECT '" + "x" * 70_000 + "'",
    "SELECT " + "(SELECT " * 200 + "1" + ")" * 200,
    "SELECT 1" + " + 1" * 900,
    "SELECT " + "[" * 5000 + "]" * 5000,
]
