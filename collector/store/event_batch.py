"""Events as an Arrow table."""

from collections.abc import Sequence

import msgspec
from arro3.core import Array, DataType, Field, Schema, Table

from collector.model.event import ReceivedEvent

TEXTS = (
    "key_id",
    "event_id",
    "type",
    "user_id",
    "network",
    "program",
    "click_id",
    "country",
    "device",
    "page",
    "txid",
    "currency",
    "status",
)
EVENT_COLUMNS = """
make_timestamptz(received_at) AS received_at, make_timestamptz(ts) AS ts,
key_id, event_id, type, user_id, network, program, click_id,
CAST(CAST(sub_ids AS JSON) AS MAP(VARCHAR, VARCHAR)) AS sub_ids,
country, device, page, txid, CAST(sale_amount AS DECIMAL(18, 6)) AS sale_amount,
CAST(commission AS DECIMAL(18, 6)) AS commission, currency, status
"""


def event_table(events: Sequence[ReceivedEvent]) -> Table:
    text = DataType.utf8()
    columns = {name: Array([getattr(e, name) for e in events], text) for name in TEXTS}
    for name in ("sale_amount", "commission"):
        values = [getattr(e, name) for e in events]
        columns[name] = Array([None if v is None else str(v) for v in values], text)
    columns["sub_ids"] = Array(
        [None if e.sub_ids is None else msgspec.json.encode(e.sub_ids).decode() for e in events],
        text,
    )
    for name in ("received_at", "ts"):
        at = [getattr(e, name) for e in events]
        columns[name] = Array(
            [int(a.timestamp()) * 1_000_000 + a.microsecond for a in at], DataType.int64()
        )
    columns["ordinal"] = Array(range(len(events)), DataType.uint32())
    fields = [Field(name, array.type) for name, array in columns.items()]
    return Table.from_arrays(list(columns.values()), schema=Schema(fields))
