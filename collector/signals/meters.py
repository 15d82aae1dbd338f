"""The collector's own counters."""

import platform

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from collector.model.result import ProbeResult

PROBE_TYPES = ("http", "tcp", "dns", "tls", "icmp")
LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class CollectorMeters:
    """Registered once for each process, in the registry that `/metrics` shows."""

    def __init__(self, registry: CollectorRegistry, version: str) -> None:
        Gauge(
            "collector_build_info",
            "What is running: always 1.",
            ["version", "python_version"],
            registry=registry,
        ).labels(version, platform.python_version()).set(1)
        self.reload_successful = Gauge(
            "collector_config_last_reload_successful",
            "Whether the last attempt to read the configuration succeeded.",
            registry=registry,
        )
        self.reload_at = Gauge(
            "collector_config_last_reload_success_timestamp_seconds",
            "When the configuration in force was read.",
            registry=registry,
        )
        self._lag = Histogram(
            "collector_probe_schedule_lag_seconds",
            "How much later than scheduled probes began.",
            buckets=LAG_BUCKETS,
            registry=registry,
        )
        runs = Counter("collector_probes", "Runs of probes, by type.", ["type"], registry=registry)
        failures = Counter(
            "collector_probe_failures",
            "Runs of probes that found their target down, by type.",
            ["type"],
            registry=registry,
        )
        # Looked up once: a thousand probes do it a hundred times a second.
        self._of_type = {kind: (runs.labels(kind), failures.labels(kind)) for kind in PROBE_TYPES}
        self.skipped = Counter(
            "collector_probes_skipped",
            "Runs left out because the run before was still going on.",
            registry=registry,
        )
        self.results_lost = Counter(
            "collector_probe_results_lost",
            "Results that the store refused for so long that they had to be given up.",
            registry=registry,
        )

    def config_read(self, *, successful: bool, at: float) -> None:
        """`at` in seconds since 1970."""
        self.reload_successful.set(successful)
        if successful:
            self.reload_at.set(at)

    def ran(self, result: ProbeResult) -> None:
        self._lag.observe(result.lag_seconds)
        runs, failures = self._of_type[result.probe.type]
        runs.inc()
        if result.verdict == "down":
            failures.inc()
