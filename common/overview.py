"""The platform overview as the collector tells it and the web app shows it (`/api/v1/overview`)."""

from datetime import datetime
from typing import Literal

import msgspec

Unit = Literal["ratio", "seconds", "count"]


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One number with all that is needed to trust it, or the reason why there is none.

    Attributes:
        value: None when nothing was measured; then `reason` says why.
        window_seconds: the span that the value covers, ending at `measured_at`; None for a
            value of one moment.
        measured_at: the time of the newest measurement in it.
        source: where the rows are ("probe_results", "samples: system_cpu_utilization_ratio").
    """

    value: float | None
    unit: Unit
    window_seconds: float | None
    measured_at: datetime | None
    source: str
    reason: str | None = None


class TargetState(msgspec.Struct, frozen=True, kw_only=True):
    """How one target looked at its last run."""

    name: str
    target: str
    type: str
    region: str
    critical: bool
    state: Literal["up", "pending", "down", "unknown", "maintenance"]
    last_run_at: datetime | None
    duration_seconds: float | None
    error: str | None


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One outage; `duration_seconds` runs until now while `closed_at` is None."""

    id: str
    name: str
    target: str
    severity: Literal["critical", "warning"]
    cause: str
    detail: str
    opened_at: datetime
    closed_at: datetime | None
    duration_seconds: float


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """What `/api/v1/overview` answers."""

    generated_at: datetime
    uptime: Reading
    response_time: Reading
    error_rate: Reading
    users: Reading
    cpu: Reading
    memory: Reading
    disk: Reading
    targets: list[TargetState]
    incidents: list[Incident]
