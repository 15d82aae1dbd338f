"""The outcome of one run of a probe: what was seen, and what it says about the target."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from collector.model.observation import Observation
from collector.model.sample import Sample
from common.probe_settings import Probe

State = Literal["up", "pending", "down", "unknown", "maintenance"]
STATES: tuple[State, ...] = ("up", "pending", "down", "unknown", "maintenance")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """One run: all its attempts, described by the last of them.

    Attributes:
        verdict: "unknown" when the run says nothing about the target: our own uplink was lost, or
            a fault of ours came in between.
        started_at: UTC, of the first attempt.
        duration_seconds: of the last attempt, on the monotonic clock.
        reason, detail: why the last attempt failed; None when it did not.
        lag_seconds: how much later than scheduled the run began.
    """

    probe: Probe
    verdict: Literal["up", "down", "unknown"]
    in_maintenance: bool
    started_at: datetime
    duration_seconds: float
    attempts: int
    failed_attempts: int
    reason: str | None
    detail: str | None
    lag_seconds: float
    seen: Observation

    @property
    def state(self) -> State:
        return "maintenance" if self.in_maintenance else self.verdict


def history(result: ProbeResult) -> list[Sample]:
    """What is kept of a run for years, in the roll-ups: whether it found its target, how fast.

    A run in a maintenance window, or one that says nothing about the target, is no evidence.
    """
    if result.in_maintenance or result.verdict == "unknown":
        return []
    probe, at = result.probe, result.started_at
    labels = (
        ("instance", probe.target),
        ("module", probe.type),
        ("name", probe.name),
        ("region", probe.region),
    )
    return [
        Sample("probe_success", labels, at, float(result.verdict == "up")),
        Sample("probe_duration_seconds", labels, at, result.duration_seconds),
    ]
