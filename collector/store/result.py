"""What a query of people answers: read in the thread that asks, up to a number of rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import msgspec
from arro3.core import RecordBatch, RecordBatchReader

ROWS_IN_CHUNK = 1024
LIMITED = "SELECT * FROM (\n{query}\n) LIMIT {limit}"
Row = tuple[Any, ...]
Parameters = Sequence[object] | Mapping[str, object]


class Column(msgspec.Struct, frozen=True):
    """`type` is DuckDB's name for it."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL to be run; the last `hidden` columns are for us, not for who asked.

    `notes` tell who asked how it is answered.
    """

    sql: str
    parameters: Parameters = ()
    hidden: int = 0
    notes: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class Result:
    """Either `rows` or `batches`, once; `truncated` is known when they have ended.

    Both have the hidden columns, `columns` are without.
    """

    cursor: duckdb.DuckDBPyConnection
    statement: Statement
    max_rows: int
    columns: list[Column] = field(default_factory=list)
    truncated: bool = False

    def rows(self) -> Iterator[list[Row]]:
        """Python values, in chunks; `columns` are known before the first. Raises duckdb.Error."""
        self.cursor.execute(self.statement.sql, self.statement.parameters or None)
        found = [Column(one[0], str(one[1])) for one in self.cursor.description or ()]
        self.columns = found[: len(found) - self.statement.hidden]
        return self._rows()

    def _rows(self) -> Iterator[list[Row]]:
        left = self.max_rows
        while chunk := self.cursor.fetchmany(ROWS_IN_CHUNK):
            self.truncated = len(chunk) > left
            if left:
                yield chunk[:left]
            if self.truncated:
                return
            left -= len(chunk)

    def batches(self) -> RecordBatchReader:
        """The same as Arrow, without a copy through Python. Raises duckdb.Error."""
        reader = RecordBatchReader.from_arrow(self._relation())
        return RecordBatchReader.from_batches(reader.schema, self._batches(reader))

    def _batches(self, reader: RecordBatchReader) -> Iterator[RecordBatch]:
        left = self.max_rows
        for batch in reader:
            self.truncated = batch.num_rows > left
            for start in range(0, min(batch.num_rows, left), ROWS_IN_CHUNK):
                yield batch.slice(start, min(ROWS_IN_CHUNK, left - start, batch.num_rows - start))
            if self.truncated:
                return
            left -= batch.num_rows

    def _relation(self) -> duckdb.DuckDBPyRelation:
        """One row more than is given away, so that DuckDB makes no batch of a million rows."""
        limit = self.max_rows + 1
        sql, parameters = self.statement.sql, self.statement.parameters
        if not parameters:
            return self.cursor.sql(sql).limit(limit)
        if hasattr(self.cursor, "abort"):
            return self.cursor.sql(sql, params=parameters).limit(limit)
        # Before 2.0 a relation with parameters is a table in memory, so the limit has to be in it.
        inner = sql.rstrip().rstrip(";")
        limited = LIMITED.format(query=inner, limit=limit)
        return self.cursor.sql(limited, params=parameters)
