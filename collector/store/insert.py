"""The statements that put rows into tables; all of them run inside the writer's transaction."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb
from arro3.core import Table

from collector.model.event import ReceivedEvents
from collector.store.batches import Batch
from collector.store.event_batch import EVENT_KEY, ROWS, event_rows
from collector.store.rollup_sql import MARK_LATE

DEFAULT_INSERT = "INSERT INTO {table} BY NAME SELECT * FROM batch"
# Not by the primary key: a lake has none.
INSERT_SERIES = """
INSERT INTO series
SELECT DISTINCT ON (series_id)
    series_id, metric, CAST(CAST(labels AS JSON) AS MAP(VARCHAR, VARCHAR))
FROM batch
ANTI JOIN series USING (series_id)
"""
STATEMENTS = {
    "series": (INSERT_SERIES,),
    "samples": (DEFAULT_INSERT.format(table="samples"), MARK_LATE),
    "probe_results": (DEFAULT_INSERT.format(table="probe_results"),),
    "incident_events": (DEFAULT_INSERT.format(table="incident_events"),),
}

# Cheap, and nearly always nothing: by the hash alone.
SUSPECTS = """
SELECT
    (SELECT count(*) FROM events JOIN ids USING (event_key)),
    (SELECT count(*) - count(DISTINCT event_key) FROM ids)
"""
DUPLICATES = """
SELECT ids.ordinal
FROM ids
JOIN events USING (event_key, key_id, event_id)
UNION
SELECT ordinal
FROM ids
QUALIFY row_number() OVER (PARTITION BY key_id, event_id ORDER BY ordinal) > 1
"""
INSERT_ALL_EVENTS = f"""
INSERT INTO events BY NAME SELECT * EXCLUDE (ordinal), {EVENT_KEY} AS event_key FROM ({ROWS})
"""  # noqa: S608 - made of constants
INSERT_EVENTS = INSERT_ALL_EVENTS + "WHERE ordinal NOT IN (SELECT unnest($duplicates::BIGINT[]))"
IS_KEY_STALE = f"""
SELECT event_key <> {EVENT_KEY} FROM (SELECT * FROM events LIMIT 1)
"""  # noqa: S608 - made of constants
RENEW_KEYS = f"UPDATE events SET event_key = {EVENT_KEY}"  # noqa: S608 - made of constants
# Parts of this length are read by both of DuckDB's threads.
CHUNK_ROWS = 16_384


def insert_batch(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    with registered(connection, batch.rows):
        for statement in STATEMENTS[batch.table]:
            connection.execute(statement)


def insert_events(
    connection: duckdb.DuckDBPyConnection, events: Sequence[ReceivedEvents]
) -> list[int]:
    """Keep what is new; returns where the others stand, in order.

    An event is the same when its key and its event_id are, whatever else it says.
    """
    with event_rows(connection, events):
        known, repeated = connection.execute(SUSPECTS).fetchall()[0]
        if not known and not repeated:
            connection.execute(INSERT_ALL_EVENTS)
            duplicates = []
        else:
            duplicates = sorted(row[0] for row in connection.execute(DUPLICATES).fetchall())
            connection.execute(INSERT_EVENTS, {"duplicates": duplicates})
    return duplicates


def check_event_keys(connection: duckdb.DuckDBPyConnection) -> bool:
    """Renew event_key when this DuckDB hashes differently from the one that wrote it; was it so?"""
    found = connection.execute(IS_KEY_STALE).fetchall()
    if found != [(True,)]:
        return False
    connection.execute(RENEW_KEYS)
    return True


@contextmanager
def registered(connection: duckdb.DuckDBPyConnection, rows: Table) -> Iterator[None]:
    connection.register("batch", rows.rechunk(max_chunksize=CHUNK_ROWS))
    try:
        yield
    finally:
        connection.unregister("batch")
