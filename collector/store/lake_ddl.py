"""The same migrations for a lake: without keys, which it does not have, and in parts by day.

Not sorted, though it could be: with DuckDB 1.5.5, deletions from a table that is SORTED BY and has
rows inlined took other rows away than those they were meant for.
"""

import re
from dataclasses import replace

from collector.store.migrate import Migration

DAY = "year(ts), month(ts), day(ts)"
MONTH = "year(ts), month(ts)"
# Hours of years would be a file for each day.
PARTS = {
    "events": DAY,
    "probe_results": DAY,
    "samples": DAY,
    "samples_minute": DAY,
    "samples_hour": MONTH,
}
# When somebody began to maintain the lake, for the others to leave it alone; and how its files are.
UPKEEP = """
CREATE TABLE lake_upkeep (began_at TIMESTAMPTZ NOT NULL);
CALL lake.set_option('parquet_compression', 'zstd');
CALL lake.set_option('target_file_size', '128MB');
"""
PARTITION = "ALTER TABLE {table} SET PARTITIONED BY ({parts});\n"
CREATED = re.compile(r"^CREATE TABLE (\w+)", re.M)


def for_lake(migration: Migration) -> Migration:
    """`migration` as a lake takes it; what is unique is for the writers to keep so."""
    sql = migration.sql.replace(" PRIMARY KEY", " NOT NULL")
    created = CREATED.findall(sql)
    partitions = [PARTITION.format(table=t, parts=PARTS[t]) for t in created if t in PARTS]
    more = [UPKEEP] if migration.version == 1 else []
    return replace(migration, sql="\n".join([sql, *partitions, *more]))
