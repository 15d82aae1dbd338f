"""The last known state of everything that is exported: fed as results come, read by scrapes."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from collector.model.incident import IncidentEvent
from collector.model.result import ProbeResult, State
from collector.model.sample import Sample
from common.platform_report import PlatformReport
from common.probe_settings import Probe


@dataclass(slots=True)
class Snapshot:
    """Keyed by probe name, except `host`: the samples of one reading.

    `host_window_seconds` is the time between that reading and the one before, over which the use of
    the processor is computed. `platform_problem` says why `platform` is None.
    """

    probes: dict[str, Probe] = field(default_factory=dict)
    results: dict[str, ProbeResult] = field(default_factory=dict)
    pending: set[str] = field(default_factory=set)
    incidents: dict[str, IncidentEvent] = field(default_factory=dict)
    host: list[Sample] = field(default_factory=list)
    host_window_seconds: float | None = None
    host_problem: str | None = "the host has not been sampled yet"
    platform: PlatformReport | None = None
    platform_problem: str | None = "the web app has not reported yet"

    def watch(self, probes: Iterable[Probe]) -> None:
        """Forget what is no longer watched, or is watched in another way."""
        self.probes = {probe.name: probe for probe in probes}
        kept = {
            name: result
            for name, result in self.results.items()
            if self.probes.get(name) == result.probe
        }
        self.results = kept
        self.pending &= self.probes.keys()

    def state(self, probe: Probe) -> State:
        """Of the last run; "pending" while a failure is being confirmed or nothing has run yet."""
        result = self.results.get(probe.name)
        if probe.name in self.pending or result is None:
            return "pending"
        return result.state
