"""The statements that put rows into tables; all of them run inside the writer's transaction."""

from collections.abc import Sequence

import duckdb
from arro3.core import Table

from collector.model.event import ReceivedEvent
from collector.store.batches import Batch
from collector.store.event_batch import EVENT_COLUMNS, event_table
from collector.store.rollup_sql import MARK_LATE

DEFAULT_INSERT = "INSERT INTO {table} BY NAME SELECT * FROM batch"
# A series is known by its number: meeting it again is the usual case.
INSERT_SERIES = """
INSERT INTO series
SELECT series_id, metric, CAST(CAST(labels AS JSON) AS MAP(VARCHAR, VARCHAR)) FROM batch
ON CONFLICT DO NOTHING
"""
STATEMENTS = {
    "series": (INSERT_SERIES,),
    "samples": (DEFAULT_INSERT.format(table="samples"), MARK_LATE),
    "probe_results": (DEFAULT_INSERT.format(table="probe_results"),),
    "incident_events": (DEFAULT_INSERT.format(table="incident_events"),),
}

INCOMING = f"""
CREATE OR REPLACE TEMP TABLE incoming AS
SELECT {EVENT_COLUMNS}, md5_number_lower(key_id || chr(31) || event_id) AS event_key, ordinal
FROM batch
"""  # noqa: S608 - made of constants
# Cheap, and nearly always nothing: by the hash alone.
SUSPECTS = """
SELECT
    (SELECT count(*) FROM events JOIN incoming USING (event_key)),
    (SELECT count(*) - count(DISTINCT event_key) FROM incoming)
"""
DUPLICATES = """
SELECT incoming.ordinal
FROM incoming
JOIN events USING (event_key)
WHERE events.key_id = incoming.key_id AND events.event_id = incoming.event_id
UNION
SELECT ordinal
FROM incoming
QUALIFY row_number() OVER (PARTITION BY key_id, event_id ORDER BY ordinal) > 1
"""
INSERT_EVENTS = """
INSERT INTO events BY NAME
SELECT * EXCLUDE (ordinal) FROM incoming WHERE NOT list_contains($duplicates, ordinal)
"""
INSERT_ALL_EVENTS = "INSERT INTO events BY NAME SELECT * EXCLUDE (ordinal) FROM incoming"


def insert_batch(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    _execute(connection, batch.rows, STATEMENTS[batch.table])


def insert_events(
    connection: duckdb.DuckDBPyConnection, events: Sequence[ReceivedEvent]
) -> list[int]:
    """Keep what is new; returns where the others stand, in order.

    An event is the same when its key and its event_id are, whatever else it says.
    """
    _execute(connection, event_table(events), (INCOMING,))
    known, repeated = connection.execute(SUSPECTS).fetchall()[0]
    if not known and not repeated:
        connection.execute(INSERT_ALL_EVENTS)
        return []
    duplicates = sorted(row[0] for row in connection.execute(DUPLICATES).fetchall())
    connection.execute(INSERT_EVENTS, {"duplicates": duplicates})
    return duplicates


def _execute(connection: duckdb.DuckDBPyConnection, rows: Table, statements: Sequence[str]) -> None:
    connection.register("batch", rows)
    try:
        for statement in statements:
            connection.execute(statement)
    finally:
        connection.unregister("batch")
