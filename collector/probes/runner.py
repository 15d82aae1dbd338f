"""One run of a probe: attempts until one succeeds or the retries are used up."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import structlog
from opentelemetry.trace import SpanKind, StatusCode, Tracer

from collector.model.observation import Observation, ProbeFailure
from collector.model.result import ProbeResult
from collector.probes.base import Prober
from collector.probes.connectivity import Uplink
from common.probe_settings import RETRY_PAUSE_SECONDS, Probe
from common.settings import Maintenance, is_loopback

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One look; `verdict` is "unknown" after a fault of ours."""

    verdict: Literal["up", "down", "unknown"]
    duration_seconds: float
    reason: str | None
    detail: str | None
    seen: Observation


class Runner:
    """Runs probes by their type; `on_pending` hears of a first failure while retries go on."""

    def __init__(
        self,
        probers: Mapping[str, Prober[Any]],
        uplink: Uplink,
        tracer: Tracer,
        on_pending: Callable[[Probe], None],
    ) -> None:
        self._probers = probers
        self._uplink = uplink
        self._tracer = tracer
        self._on_pending = on_pending
        self.maintenance: tuple[Maintenance, ...] = ()

    async def run(self, probe: Probe, *, lag_seconds: float, known_down: bool) -> ProbeResult:
        """Look at the target, again at once when it fails; a target known to be down needs no
        second look to count as down."""
        started_at = datetime.now(UTC)
        allowed = 1 if known_down else probe.retries + 1
        attempt = await self._attempt(probe)
        attempts = 1
        while attempt.verdict == "down" and attempts < allowed:
            self._on_pending(probe)
            await asyncio.sleep(RETRY_PAUSE_SECONDS)
            attempt = await self._attempt(probe)
            attempts += 1
        verdict, detail = attempt.verdict, attempt.detail
        if verdict == "down" and not _is_local(attempt.seen.ip) and await self._uplink.is_lost():
            verdict, detail = "unknown", f"our own uplink is lost; {detail}"
        return ProbeResult(
            probe=probe,
            verdict=verdict,
            in_maintenance=any(window.covers(probe, started_at) for window in self.maintenance),
            started_at=started_at,
            duration_seconds=attempt.duration_seconds,
            attempts=attempts,
            failed_attempts=attempts - (attempt.verdict == "up"),
            reason=attempt.reason,
            detail=detail,
            lag_seconds=lag_seconds,
            seen=attempt.seen,
        )

    async def _attempt(self, probe: Probe) -> Attempt:
        seen = Observation()
        verdict: Literal["up", "down", "unknown"] = "up"
        reason = detail = None
        with self._tracer.start_as_current_span(
            f"probe {probe.type}", kind=SpanKind.CLIENT, record_exception=False
        ) as span:
            started = time.perf_counter()
            try:
                async with asyncio.timeout(probe.timeout_seconds):
                    await self._probers[probe.type](probe, seen)
            except ProbeFailure as failure:
                verdict, reason, detail = "down", failure.reason, failure.detail
            except TimeoutError:
                verdict, reason = "down", "timeout"
                detail = f"no answer within {probe.timeout_seconds:g} s {_how_far(seen)}"
            except Exception as fault:
                # A fault of ours says nothing about the target, and must not end the other probes.
                log.exception("probe fault", name=probe.name)
                verdict, reason, detail = "unknown", "fault", f"a fault of the collector: {fault}"
            duration = time.perf_counter() - started
            span.set_attribute("dhmon.probe.name", probe.name)
            if reason is not None:
                span.set_attribute("error.type", reason)
                span.set_status(StatusCode.ERROR, detail)
        return Attempt(verdict, duration, reason, detail, seen)


def _is_local(ip: str | None) -> bool:
    """Targets on this machine need no uplink."""
    return ip is not None and is_loopback(ip)


def _how_far(seen: Observation) -> str:
    phases = seen.phases
    if phases.resolve is None:
        return "while resolving the name"
    if phases.connect is None:
        return "while connecting"
    if phases.processing is None:
        return "while waiting for the first byte"
    return "while reading the answer"
