"""What the store measures of itself."""

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.trace import SpanKind
from prometheus_client import Counter, Gauge, Histogram

from collector.store.queue import Waiting
from collector.store.rollups import RollupState
from common.telemetry import Telemetry

COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class StoreMeters:
    """Safe to use from the writer's and the readers' threads."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._queue_rows = Gauge(
            "collector_queue_rows",
            "Rows that wait to be written.",
            registry=telemetry.registry,
        )
        self._queue_bytes = Gauge(
            "collector_queue_bytes",
            "Size of the rows that wait to be written.",
            registry=telemetry.registry,
        )
        self._rows = Counter(
            "collector_rows",
            "Rows handed to the store, by table and by what became of them.",
            ["table", "result"],
            registry=telemetry.registry,
        )
        self._rolled = Gauge(
            "collector_rollup_timestamp_seconds",
            "Until when samples have been rolled up, by level.",
            ["level"],
            registry=telemetry.registry,
        )
        self._commit = Histogram(
            "collector_commit_duration_seconds",
            "Duration of transactions, from the first insert until they were on disk.",
            buckets=COMMIT_BUCKETS,
            registry=telemetry.registry,
        )

        self._checkpoint = Histogram(
            "collector_checkpoint_duration_seconds",
            "Duration of checkpoints, with the wait for their turn.",
            buckets=COMMIT_BUCKETS,
            registry=telemetry.registry,
        )
        self._checkpoint_stall = Histogram(
            "collector_checkpoint_stall_seconds",
            "How long a checkpoint kept commits waiting.",
            buckets=COMMIT_BUCKETS,
            registry=telemetry.registry,
        )
        self._wal_bytes = Gauge(
            "collector_store_wal_bytes",
            "Size of the write-ahead log.",
            registry=telemetry.registry,
        )

    def watch_wal(self, size_bytes: Callable[[], int]) -> None:
        self._wal_bytes.set_function(size_bytes)

    def checkpointed(self, seconds: float, stall_seconds: float) -> None:
        self._checkpoint.observe(seconds)
        self._checkpoint_stall.observe(stall_seconds)

    def queued(self, rows: int, size_bytes: int) -> None:
        self._queue_rows.set(rows)
        self._queue_bytes.set(size_bytes)

    def committed(self, group: Sequence[Waiting], duplicates: int, seconds: float) -> None:
        """`duplicates`: events that were there already."""
        self._commit.observe(seconds)
        rows = _rows_by_table(group)
        if duplicates:
            rows["events"] -= duplicates
            self._rows.labels("events", "duplicate").inc(duplicates)
        for table, count in rows.items():
            self._rows.labels(table, "committed").inc(count)

    def failed(self, group: Sequence[Waiting], seconds: float) -> None:
        self._commit.observe(seconds)
        for table, rows in _rows_by_table(group).items():
            self._rows.labels(table, "failed").inc(rows)

    def rolled(self, state: RollupState) -> None:
        self._rolled.labels("minute").set(state.minute_until.timestamp())
        self._rolled.labels("hour").set(state.hour_until.timestamp())

    @contextmanager
    def operation(self, name: str) -> Iterator[None]:
        """One database operation: a span and a duration under the semantic conventions."""
        attributes = {"db.system.name": "duckdb", "db.operation.name": name}
        started = time.perf_counter()
        with self._telemetry.tracer.start_as_current_span(
            name, kind=SpanKind.CLIENT, attributes=attributes
        ):
            try:
                yield
            except Exception as error:
                attributes["error.type"] = type(error).__name__
                raise
            finally:
                self._telemetry.database.record(time.perf_counter() - started, attributes)


def _rows_by_table(group: Sequence[Waiting]) -> Tally[str]:
    rows: Tally[str] = Tally()
    for waiting in group:
        for batch in waiting.batches:
            rows[batch.table] += batch.row_count
        if waiting.events:
            rows["events"] += waiting.rows
    return rows
