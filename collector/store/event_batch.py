"""Events as rows: DuckDB reads their lines itself, on its threads and without Python's lock."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import msgspec
from arro3.core import Array, DataType, Field, RecordBatch, Schema, Table

from collector.model.event import Event, ReceivedEvents

# As which type DuckDB reads a field of an event; all others are texts.
TYPES = {
    "ts": "TIMESTAMPTZ",
    "sub_ids": "MAP(VARCHAR, VARCHAR)",
    "sale_amount": "DECIMAL(18, 6)",
    "commission": "DECIMAL(18, 6)",
}
STRUCTURE = msgspec.json.encode(
    {name: TYPES.get(name, "VARCHAR") for name in Event.__struct_fields__}
).decode()
LINES = """
SELECT
    unnest(range(first, until)) AS ordinal,
    unnest(string_split(lines, chr(10))) AS line,
    received_at,
    key_id,
    owner
FROM blocks
"""
# The columns of `events` and the place of each. Seconds are doubles, which hold a microsecond
# exactly until the year 2242 once it is rounded.
ROWS = f"""
SELECT * EXCLUDE (owner) REPLACE (
    make_timestamptz(CAST(round(received_at * 1000000) AS BIGINT)) AS received_at,
    coalesce(user_id, owner) AS user_id
)
FROM (SELECT * EXCLUDE (line), unnest(from_json(line, '{STRUCTURE}')) FROM ({LINES}))
"""  # noqa: S608 - made of constants
# DuckDB's own hash: ten times as fast as md5, and the same for ever only within a version of
# DuckDB, so `check_event_keys` looks whether it still is.
EVENT_KEY = "hash(key_id, event_id)"
MAKE_IDS = f"""
CREATE TEMP TABLE ids AS
SELECT ordinal, key_id, event_id, {EVENT_KEY} AS event_key
FROM (SELECT ordinal, key_id, line ->> 'event_id' AS event_id FROM ({LINES}))
"""  # noqa: S608 - made of constants
DROP_IDS = "DROP TABLE ids"
TEXT = DataType.utf8()
BLOCK_FIELDS = [
    Field("first", DataType.int64()),
    Field("until", DataType.int64()),
    Field("received_at", DataType.float64()),
    Field("key_id", TEXT),
    Field("owner", TEXT),
    Field("lines", TEXT),
]
# Few enough for both of DuckDB's threads to have some, and for the event loop not to wait long.
EVENTS_AT_ONCE = 16_384


@contextmanager
def event_rows(
    connection: duckdb.DuckDBPyConnection, events: Sequence[ReceivedEvents]
) -> Iterator[None]:
    """`ROWS` are the events, table `ids` is what makes each of them unique.

    After an error they are left to the connection, whose transaction is over.
    """
    connection.register("blocks", _table(events))
    connection.execute(MAKE_IDS)
    yield
    connection.execute(DROP_IDS)
    connection.unregister("blocks")


def _table(events: Sequence[ReceivedEvents]) -> Table:
    batches: list[RecordBatch] = []
    rows: list[tuple[Any, ...]] = []
    place = begun = 0
    for block in events:
        sender, until = block.sender, place + block.count
        seconds = sender.received_at.timestamp()
        rows.append((place, until, seconds, sender.key_id, sender.owner, block.lines.decode()))
        place = until
        if place - begun >= EVENTS_AT_ONCE:
            batches.append(_record_batch(rows))
            rows, begun = [], place
    if rows:
        batches.append(_record_batch(rows))
    return Table.from_batches(batches)


def _record_batch(rows: Sequence[tuple[Any, ...]]) -> RecordBatch:
    columns = zip(BLOCK_FIELDS, zip(*rows, strict=True), strict=True)
    arrays = [Array(values, field.type) for field, values in columns]
    return RecordBatch.from_arrays(arrays, schema=Schema(BLOCK_FIELDS))
