"""When an outage begins and ends: a pure state machine over probe results."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from collector.model.result import ProbeResult
from common.probe_settings import Probe

Severity = Literal["critical", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentEvent:
    """One step in an incident's life; never changed once written.

    `at` is the start of the run that showed it: the first failing one for "opened", the first
    succeeding one for "closed".
    """

    incident_id: str
    kind: Literal["opened", "closed"]
    at: datetime
    name: str
    target: str
    severity: Severity
    cause: str
    detail: str


def advance(opened: IncidentEvent | None, result: ProbeResult) -> IncidentEvent | None:
    """The event that `result` causes, given the event that opened the incident in progress.

    A run in a maintenance window opens nothing, but a success there closes. A run that says
    nothing about the target changes nothing.
    """
    if opened is None and result.verdict == "down" and not result.in_maintenance:
        return _opened(result)
    if opened is not None and result.verdict == "up":
        return closed(opened, result.started_at, "the target answers as expected again")
    return None


def _opened(result: ProbeResult) -> IncidentEvent:
    return IncidentEvent(
        incident_id=uuid.uuid4().hex,
        kind="opened",
        at=result.started_at,
        name=result.probe.name,
        target=result.probe.target,
        severity=severity(result.probe),
        cause=result.reason or "unknown",
        detail=result.detail or "",
    )


def closed(opened: IncidentEvent, at: datetime, detail: str) -> IncidentEvent:
    return IncidentEvent(
        incident_id=opened.incident_id,
        kind="closed",
        at=at,
        name=opened.name,
        target=opened.target,
        severity=opened.severity,
        cause=opened.cause,
        detail=detail,
    )


def severity(probe: Probe) -> Severity:
    return "critical" if probe.critical else "warning"
