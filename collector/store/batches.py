"""Rows of ours as Arrow tables, one builder for each table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from arro3.core import Array, DataType, Field, Schema, Table

from collector.model.incident import IncidentEvent
from collector.model.result import ProbeResult
from collector.model.sample import Sample, series_id

MICROSECONDS = DataType.timestamp("us", tz="UTC")
TEXT = DataType.utf8()
REAL = DataType.float64()
FLAG = DataType.bool()
COUNT = DataType.uint8()


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows for one table, columns by name."""

    table: str
    rows: Table

    @property
    def row_count(self) -> int:
        return self.rows.num_rows


def probe_results_batch(results: Sequence[ProbeResult]) -> Batch:
    phases = [result.seen.phases for result in results]
    return _batch(
        "probe_results",
        [
            _times("ts", [result.started_at for result in results]),
            _column("name", TEXT, [result.probe.name for result in results]),
            _column("target", TEXT, [result.probe.target for result in results]),
            _column("type", TEXT, [result.probe.type for result in results]),
            _column("region", TEXT, [result.probe.region for result in results]),
            _column("critical", FLAG, [result.probe.critical for result in results]),
            _column("verdict", TEXT, [result.verdict for result in results]),
            _column("in_maintenance", FLAG, [result.in_maintenance for result in results]),
            _column("attempts", COUNT, [result.attempts for result in results]),
            _column("failed_attempts", COUNT, [result.failed_attempts for result in results]),
            _column("duration_seconds", REAL, [result.duration_seconds for result in results]),
            _column("resolve_seconds", REAL, [phase.resolve for phase in phases]),
            _column("connect_seconds", REAL, [phase.connect for phase in phases]),
            _column("tls_seconds", REAL, [phase.tls for phase in phases]),
            _column("processing_seconds", REAL, [phase.processing for phase in phases]),
            _column("transfer_seconds", REAL, [phase.transfer for phase in phases]),
            _column("lag_seconds", REAL, [result.lag_seconds for result in results]),
            _column("ip", TEXT, [result.seen.ip for result in results]),
            _column("status_code", DataType.uint16(), [_status(result) for result in results]),
            _times("certificate_expires_at", [_certificate_expiry(result) for result in results]),
            _column("reason", TEXT, [result.reason for result in results]),
            _column("detail", TEXT, [result.detail for result in results]),
        ],
    )


def incident_events_batch(events: Sequence[IncidentEvent]) -> Batch:
    return _batch(
        "incident_events",
        [
            _column("incident_id", TEXT, [event.incident_id for event in events]),
            _column("kind", TEXT, [event.kind for event in events]),
            _times("at_ts", [event.at for event in events]),
            _column("name", TEXT, [event.name for event in events]),
            _column("target", TEXT, [event.target for event in events]),
            _column("severity", TEXT, [event.severity for event in events]),
            _column("cause", TEXT, [event.cause for event in events]),
            _column("detail", TEXT, [event.detail for event in events]),
        ],
    )


def samples_batches(samples: Sequence[Sample]) -> list[Batch]:
    """The label sets and the values; a series that the store has already is no error."""
    identities = [series_id(sample.metric, sample.labels) for sample in samples]
    fresh = dict(zip(identities, samples, strict=True))
    series = _batch(
        "series",
        [
            _column("series_id", DataType.uint64(), list(fresh)),
            _column("metric", TEXT, [sample.metric for sample in fresh.values()]),
            _column("labels", TEXT, [_json(sample) for sample in fresh.values()]),
        ],
    )
    values = _batch(
        "samples",
        [
            _column("series_id", DataType.uint64(), identities),
            _times("ts", [sample.at for sample in samples]),
            _column("value", REAL, [sample.value for sample in samples]),
        ],
    )
    return [series, values]


def concatenate(batches: Sequence[Batch]) -> Batch:
    """Batches of one table as one batch, in their order."""
    if len(batches) == 1:
        return batches[0]
    chunks = [chunk for batch in batches for chunk in batch.rows.to_batches()]
    return Batch(batches[0].table, Table.from_batches(chunks, schema=batches[0].rows.schema))


def _batch(table: str, columns: Iterable[tuple[Field, Array]]) -> Batch:
    fields, arrays = zip(*columns, strict=True)
    return Batch(table, Table.from_arrays(list(arrays), schema=Schema(list(fields))))


def _column(name: str, kind: DataType, values: Sequence[object]) -> tuple[Field, Array]:
    return Field(name, kind), Array(values, kind)


def _times(name: str, values: Sequence[datetime | None]) -> tuple[Field, Array]:
    numbers = [None if at is None else _microseconds(at) for at in values]
    return Field(name, MICROSECONDS), Array(numbers, DataType.int64()).cast(MICROSECONDS)


def _microseconds(at: datetime) -> int:
    """Since 1970; integers, because a float of seconds loses microseconds."""
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def _json(sample: Sample) -> str:
    return msgspec.json.encode(dict(sample.labels)).decode()


def _status(result: ProbeResult) -> int | None:
    return result.seen.http.status if result.seen.http else None


def _certificate_expiry(result: ProbeResult) -> datetime | None:
    return result.seen.tls.certificate.earliest_expiry_at if result.seen.tls else None
