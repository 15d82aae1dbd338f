"""`GET /api/v1/overview`: each number with its window and time, or why there is none."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec
from aiohttp import web

from collector import keys
from collector.model.incident import IncidentEvent
from collector.snapshot import Snapshot
from collector.store.platform import Figure, availability, error_rate, response_time
from collector.store.store import Store
from common.overview import Incident, Overview, Reading, TargetState, Unit
from common.platform_report import PlatformReport
from common.probe_settings import Probe

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


async def overview(request: web.Request) -> web.Response:
    app = request.app
    now = datetime.now(UTC)
    body = await compose(app[keys.STORE], app[keys.SNAPSHOT], now)
    return web.Response(
        body=msgspec.json.encode(body),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


async def compose(store: Store, snapshot: Snapshot, now: datetime) -> Overview:
    """The overview at `now`. Raises StoreError when the store cannot be read."""
    uptime, response, errors = await asyncio.gather(
        _computed(availability, store, now - DAY, "ratio", "a probe to count"),
        _computed(response_time, store, now - HOUR, "seconds", "a successful HTTP probe"),
        _computed(error_rate, store, now - HOUR, "ratio", "a probe to count"),
    )
    return Overview(
        generated_at=now,
        uptime=uptime,
        response_time=response,
        error_rate=errors,
        users=_users(snapshot),
        cpu=_host(snapshot, "system_cpu_utilization_ratio", snapshot.host_window_seconds),
        memory=_host(snapshot, "system_memory_utilization_ratio"),
        disk=_host(snapshot, "system_filesystem_utilization_ratio"),
        targets=[_target(snapshot, probe) for probe in snapshot.probes.values()],
        incidents=[_incident(event, now) for event in snapshot.incidents.values()],
    )


async def _computed(
    compute: Callable[[Store, datetime], Awaitable[Figure]],
    store: Store,
    since: datetime,
    unit: Unit,
    missing: str,
) -> Reading:
    figure = await compute(store, since)
    if figure.value is None or figure.first_at is None or figure.last_at is None:
        reason = f"there has not been {missing} since {since:%Y-%m-%d %H:%M} UTC"
        return _unknown(unit, "probe_results", reason)
    return Reading(
        value=figure.value,
        unit=unit,
        # What the rows cover, not what was asked for: an hour-old collector knows of no day.
        window_seconds=(figure.last_at - figure.first_at).total_seconds(),
        measured_at=figure.last_at,
        source="probe_results",
    )


def _unknown(unit: Unit, source: str, reason: str | None) -> Reading:
    return Reading(
        value=None, unit=unit, window_seconds=None, measured_at=None, source=source, reason=reason
    )


def _host(snapshot: Snapshot, metric: str, window_seconds: float | None = None) -> Reading:
    """The fullest, where there are several (file systems)."""
    source = f"samples: {metric}"
    found = [sample for sample in snapshot.host if sample.metric == metric]
    if not found:
        reason = snapshot.host_problem or "this machine does not report it"
        return _unknown("ratio", source, reason)
    sample = max(found, key=lambda sample: sample.value)
    labels = "".join(f" {name}={value}" for name, value in sample.labels)
    return Reading(
        value=sample.value,
        unit="ratio",
        window_seconds=window_seconds,
        measured_at=sample.at,
        source=source + labels,
    )


def _users(snapshot: Snapshot) -> Reading:
    report: PlatformReport | None = snapshot.platform
    if report is None:
        return _unknown("count", "samples: platform_users", snapshot.platform_problem)
    return Reading(
        value=sum(user.count for user in report.users),
        unit="count",
        window_seconds=None,
        measured_at=report.measured_at,
        source="samples: platform_users",
    )


def _target(snapshot: Snapshot, probe: Probe) -> TargetState:
    result = snapshot.results.get(probe.name)
    return TargetState(
        name=probe.name,
        target=probe.target,
        type=probe.type,
        region=probe.region,
        critical=probe.critical,
        state=snapshot.state(probe),
        last_run_at=result.started_at if result else None,
        duration_seconds=result.duration_seconds if result else None,
        error=result.detail if result else None,
    )


def _incident(opened: IncidentEvent, now: datetime) -> Incident:
    severity: Literal["critical", "warning"] = opened.severity
    return Incident(
        id=opened.incident_id,
        name=opened.name,
        target=opened.target,
        severity=severity,
        cause=opened.cause,
        detail=opened.detail,
        opened_at=opened.at,
        closed_at=None,
        duration_seconds=(now - opened.at).total_seconds(),
    )
