"""What the store measures of itself."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry.trace import SpanKind
from prometheus_client import Counter, Gauge, Histogram

from collector.errors import StoreError
from collector.store.batches import Batch
from common.telemetry import Telemetry

COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class StoreMeters:
    """Safe to use from the writer's and the readers' threads."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self.queue_rows = Gauge(
            "collector_queue_rows",
            "Rows that wait to be written.",
            registry=telemetry.registry,
        )
        self._rows = Counter(
            "collector_rows",
            "Rows handed to the store, by table and by what became of them.",
            ["table", "result"],
            registry=telemetry.registry,
        )
        self._commit = Histogram(
            "collector_commit_duration_seconds",
            "Duration of transactions, from the first insert until they were on disk.",
            buckets=COMMIT_BUCKETS,
            registry=telemetry.registry,
        )

    def committed(
        self,
        batches: Mapping[str, Sequence[Batch]],
        seconds: float,
        error: StoreError | None,
    ) -> None:
        self._commit.observe(seconds)
        result = "committed" if error is None else "failed"
        for table, parts in batches.items():
            self._rows.labels(table, result).inc(sum(part.row_count for part in parts))

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
