"""Events in a lake are there once, without a look through all of them for each commit.

In PostgreSQL, beside the catalogue, stands a number for each event, a hash of key and event_id,
with the event's day. It is put there before the rows are committed, so that a number that is not
there is no event; where one is, that day of the lake is looked through.
"""

from collections.abc import Sequence
from contextlib import closing

import duckdb

from collector.model.event import ReceivedEvents
from collector.store.event_batch import ROWS, event_rows
from collector.store.insert import INSERT_EVENTS

CREATE = """
CREATE TABLE IF NOT EXISTS dhmon_event_numbers (
    number BIGINT NOT NULL, day DATE NOT NULL, PRIMARY KEY (number, day)
)
"""
# DuckDB's own hash is another one in another release, and releases may meet in a lake.
NUMBER = "CAST(md5_number_lower(key_id || chr(31) || event_id) >> 1 AS BIGINT)"
NUMBERS = f"""
SELECT DISTINCT {NUMBER}, strftime(ts, '%Y-%m-%d')
FROM ({ROWS})
"""  # noqa: S608 - made of constants
FIND = "SELECT DISTINCT day FROM dhmon_event_numbers WHERE number = ANY('{{{numbers}}}'::bigint[])"
NOTE = """
INSERT INTO dhmon_event_numbers
SELECT * FROM unnest('{{{numbers}}}'::bigint[], '{{{days}}}'::date[]) ON CONFLICT DO NOTHING
"""
IN_POSTGRES = "SELECT day FROM postgres_query('numbers', $sql)"
TO_POSTGRES = "CALL postgres_execute('numbers', $sql)"
KNOWN = """
SELECT DISTINCT ids.ordinal
FROM ids
JOIN events USING (key_id, event_id)
WHERE events.ts >= $day::TIMESTAMPTZ AND events.ts < $day::TIMESTAMPTZ + INTERVAL 1 DAY
"""
REPEATED = """
SELECT ordinal
FROM ids
QUALIFY row_number() OVER (PARTITION BY key_id, event_id ORDER BY ordinal) > 1
"""
# Of rows that came in bulk.
NUMBER_ALL = f"""
INSERT INTO numbers.public.dhmon_event_numbers
SELECT DISTINCT {NUMBER}, CAST(ts AS DATE) FROM lake.events
"""  # noqa: S608 - made of constants


def insert_lake_events(
    connection: duckdb.DuckDBPyConnection, events: Sequence[ReceivedEvents]
) -> list[int]:
    """As `insert.insert_events`; `connection` holds the lake's lock."""
    with event_rows(connection, events):
        numbers, days = zip(*connection.execute(NUMBERS).fetchall(), strict=True)
        duplicates = {row[0] for row in connection.execute(REPEATED).fetchall()}
        for day in _suspected(connection, numbers, days):
            found = connection.execute(KNOWN, {"day": day}).fetchall()
            duplicates |= {row[0] for row in found}
        connection.execute(INSERT_EVENTS, {"duplicates": sorted(duplicates)})
    return sorted(duplicates)


def _suspected(
    connection: duckdb.DuckDBPyConnection, numbers: Sequence[int], days: Sequence[str]
) -> list[str]:
    """The days in which one of the numbers may be; now all of them are there as well."""
    listed, of_days = ",".join(map(str, numbers)), ",".join(days)
    # Not in the transaction of the rows: a number may be there without a row, never the reverse.
    with closing(connection.cursor()) as aside:
        found = aside.execute(IN_POSTGRES, {"sql": FIND.format(numbers=listed)}).fetchall()
        aside.execute(TO_POSTGRES, {"sql": NOTE.format(numbers=listed, days=of_days)})
    return [str(day) for [day] in found]
