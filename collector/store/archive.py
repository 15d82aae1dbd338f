"""Days that leave the store, as Parquet files that any tool reads.

`FOLDER/TABLE/day=2026-11-01/data.parquet`: the partition is the UTC day, in Hive's spelling.
"""

import os
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from collector.errors import StoreError

COUNT = "SELECT count(*) FROM {table} WHERE ts >= $start AND ts < $until"
# Samples with their names: an archive is read without the store.
SAMPLES = """
SELECT metric, labels, ts, value
FROM samples
JOIN series USING (series_id)
WHERE ts >= $start AND ts < $until
"""
ROWS = "SELECT * FROM {table} WHERE ts >= $start AND ts < $until"
# A row that was archived and came late once more, or whose deletion failed, is there once.
WITH_EARLIER = "{rows} UNION SELECT * FROM read_parquet($earlier, hive_partitioning = false)"
WRITE = "COPY ({rows} ORDER BY ALL) TO '{path}' (FORMAT parquet, COMPRESSION zstd)"


def archive_day(
    connection: duckdb.DuckDBPyConnection, table: str, day: datetime, folder: Path
) -> int:
    """Write the table's rows of `day` and return how many there are.

    Raises StoreError when the archive cannot be written; then the rows must stay.
    """
    span = {"start": day, "until": day + timedelta(days=1)}
    [[count]] = connection.execute(COUNT.format(table=table), span).fetchall()
    path = folder.absolute() / table / f"day={day:%Y-%m-%d}" / "data.parquet"
    try:
        if count:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(connection, table, span, path)
    except (OSError, duckdb.IOException) as error:
        raise StoreError(
            str(path),
            why=f"the archive cannot be written ({error})",
            remedy="free space or give write permission there; the rows stay in the store",
        ) from error
    return int(count)


def _write(
    connection: duckdb.DuckDBPyConnection, table: str, span: dict[str, datetime], path: Path
) -> None:
    rows = SAMPLES if table == "samples" else ROWS.format(table=table)
    parameters: dict[str, object] = dict(span)
    if path.exists():
        rows = WITH_EARLIER.format(rows=rows)
        parameters["earlier"] = str(path)
    fresh = path.with_name("data.parquet.new")
    quoted = str(fresh).replace("'", "''")
    connection.execute(WRITE.format(rows=rows, path=quoted), parameters)
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.replace(path)
