"""One encoder for each format: from a result to bytes, at most MAX_BYTES and a chunk of them."""

import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
from arro3.core import RecordBatch, RecordBatchReader, Schema

from collector.store.result import Result, Row

MAX_BYTES = 16 * 1024 * 1024
QUOTED = frozenset('",\r\n')
MAX_INT, MIN_INT = 2**64 - 1, -(2**63)
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
SIMPLE = frozenset({"BOOLEAN", "VARCHAR", "UUID", "JSON", *INTEGERS, *(f"U{i}" for i in INTEGERS)})
encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Encoded:
    """`truncated`: there were more rows. `last`: the last row that is in it, hidden columns too."""

    body: memoryview
    truncated: bool
    notes: Mapping[str, object]
    last: Callable[[], Row | None]


Members = Callable[[Encoded], Mapping[str, object]]
Encoder = Callable[[Result, Members], Encoded]


def encode_json(result: Result, members: Members) -> Encoded:
    """`{"columns": […], "rows": [[…], …], "truncated": false, …}`."""
    chunks = result.rows()
    convert = _converter(result)
    body = bytearray(b'{"columns":' + encode(result.columns) + b',"rows":[')
    separator, last = b"", None
    for rows in chunks:
        body += separator + encode([convert(row) for row in rows])[1:-1]
        separator, last = b",", rows[-1]
        if len(body) >= MAX_BYTES:
            result.truncated = result.truncated or next(chunks, None) is not None
            break
    done = _encoded(result, body, lambda: last)
    tail = encode({"truncated": result.truncated, **members(done)})
    return _encoded(result, body + b"]," + tail[1:], lambda: last)


def encode_csv(result: Result, members: Members) -> Encoded:
    """RFC 4180 with a header; NULL is empty, an empty text is ""."""
    chunks = result.rows()
    convert = _converter(result)
    body = bytearray(_line([column.name for column in result.columns]))
    last = None
    for rows in chunks:
        body += b"".join(_line([_csv_text(value) for value in convert(row)]) for row in rows)
        last = rows[-1]
        if len(body) >= MAX_BYTES:
            result.truncated = result.truncated or next(chunks, None) is not None
            break
    return _encoded(result, body, lambda: last)


def encode_arrow(result: Result, members: Members) -> Encoded:
    """An IPC stream, in DuckDB's own types, not compressed."""
    reader = result.batches()
    sink = io.BytesIO()
    sent: list[RecordBatch] = []
    shown = list(range(len(reader.schema.names) - result.statement.hidden))

    def batches() -> Iterator[RecordBatch]:
        for batch in reader:
            if sink.tell() >= MAX_BYTES:
                result.truncated = True
                return
            sent[:] = [batch]
            yield batch.select(shown)

    # Here, because its 5 MB would be resident in every collector, and few ever answer in Arrow.
    from arro3.io import write_ipc_stream

    schema = Schema([reader.schema.field(index) for index in shown])
    write_ipc_stream(RecordBatchReader.from_batches(schema, batches()), sink, compression=None)
    return _encoded(result, sink.getbuffer(), lambda: _last(sent))


def _encoded(
    result: Result, body: bytearray | memoryview, last: Callable[[], Row | None]
) -> Encoded:
    return Encoded(memoryview(body), result.truncated, result.statement.notes, last)


def _last(sent: list[RecordBatch]) -> Row | None:
    if not sent or sent[0].num_rows == 0:
        return None
    row = sent[0].slice(sent[0].num_rows - 1, 1)
    return tuple(row.column(index).to_pylist()[0] for index in range(row.num_columns))


def _converter(result: Result) -> Callable[[Row], Row | list[Any]]:
    """What turns a row into what JSON can say; a row of simple columns stays as it is."""
    odd = [index for index, column in enumerate(result.columns) if column.type not in SIMPLE]
    if not odd and not result.statement.hidden:
        return lambda row: row
    return partial(_converted, odd=odd, shown=len(result.columns))


def _converted(row: Row, *, odd: list[int], shown: int) -> list[Any]:
    values = list(row[:shown])
    for index in odd:
        values[index] = plain(values[index])
    return values


def plain(value: object) -> object:
    """As JSON says it exactly: NaN as "NaN", decimals as text, long integers as numbers."""
    convert = PLAIN.get(type(value))
    return value if convert is None else convert(value)


def _real(value: float) -> object:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _integer(value: int) -> object:
    return value if MIN_INT <= value <= MAX_INT else msgspec.Raw(str(value).encode())


def _time(value: datetime) -> str:
    # isoformat says +00:00; Z is what RFC 3339 readers expect of UTC.
    return value.isoformat().replace("+00:00", "Z")


def _decimal(value: Decimal) -> str:
    return format(value, "f")


def _list(values: Iterable[object]) -> list[object]:
    return [plain(value) for value in values]


def _map(value: Mapping[object, object]) -> dict[str, object]:
    return {_key(key): plain(item) for key, item in value.items()}


def _key(key: object) -> str:
    said = plain(key)
    return said if isinstance(said, str) else encode(said).decode().strip('"')


PLAIN: dict[type, Callable[[Any], object]] = {
    float: _real,
    int: _integer,
    datetime: _time,
    Decimal: _decimal,
    list: _list,
    tuple: _list,
    dict: _map,
}


def _csv_text(value: object) -> str | None:
    match value:
        case None | str():
            return value
        case _:
            text = encode(value).decode()
            return msgspec.json.decode(text) if text.startswith('"') else text


def _line(fields: list[str | None]) -> bytes:
    return (",".join(map(_csv_field, fields)) + "\r\n").encode("utf-8", errors="replace")


def _csv_field(text: str | None) -> str:
    if text is None:
        return ""
    if not text or not QUOTED.isdisjoint(text):
        return '"' + text.replace('"', '""') + '"'
    return text
