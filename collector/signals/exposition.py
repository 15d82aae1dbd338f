"""`/metrics`: the snapshot as Prometheus families, made anew for every scrape so that what is gone
disappears."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from collector.model.result import STATES
from collector.signals.probe_metrics import PROBE_FAMILIES, measures
from collector.snapshot import Snapshot
from common.probe_settings import Probe

PROBE_LABELS = ("instance", "name", "module", "region")
HOST_HELP = {
    "system_cpu_utilization_ratio": "Share of processor time in use since the reading before.",
    "system_cpu_load_average_1m": "Load average over one minute.",
    "system_cpu_load_average_5m": "Load average over five minutes.",
    "system_cpu_load_average_15m": "Load average over fifteen minutes.",
    "system_uptime_seconds": "Time since this machine started.",
    "system_memory_utilization_ratio": "Share of memory that is not available to programs.",
    "system_memory_usage_bytes": "Memory by state.",
    "system_filesystem_utilization_ratio": "Share of the file system in use, as df has it.",
    "system_filesystem_usage_bytes": "File system space by state.",
    "system_network_io_bytes_total": "Bytes over the network since start, by direction.",
    "system_disk_io_bytes_total": "Bytes to and from disks since start, by direction.",
}


class SnapshotCollector(Collector):
    """`store_bytes` and `uplink` are asked at scrape time."""

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        store_bytes: Callable[[], int],
        uplink: Callable[[], bool | None],
    ) -> None:
        self._snapshot = snapshot
        self._store_bytes = store_bytes
        self._uplink = uplink

    def describe(self) -> list[Metric]:
        """Nothing is known before the first scrape: families depend on what is watched."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield from self._results()
        yield from self._targets()
        yield from self._host()
        yield from self._platform()
        yield GaugeMetricFamily(
            "collector_store_bytes", "Size of the store on disk.", self._store_bytes()
        )
        if (is_up := self._uplink()) is not None:
            yield GaugeMetricFamily(
                "collector_uplink_up", "Whether our own uplink answered when last asked.", is_up
            )

    def _results(self) -> Iterator[Metric]:
        families = {
            name: GaugeMetricFamily(name, text, labels=[*PROBE_LABELS, *extra])
            for name, (text, extra) in PROBE_FAMILIES.items()
        }
        series = 0
        for result in list(self._snapshot.results.values()):
            identity = _identity(result.probe)
            for name, extra, value in measures(result):
                families[name].add_metric([*identity, *extra], value)
                series += 1
        yield from (family for family in families.values() if family.samples)
        yield GaugeMetricFamily("collector_series", "Series that probes export now.", series)

    def _targets(self) -> Iterator[Metric]:
        state = GaugeMetricFamily(
            "probe_state", "1 for the state that the target is in.", labels=[*PROBE_LABELS, "state"]
        )
        interval = GaugeMetricFamily(
            "probe_interval_seconds", "How often the target is looked at.", labels=PROBE_LABELS
        )
        for probe in list(self._snapshot.probes.values()):
            identity = _identity(probe)
            interval.add_metric(identity, probe.interval_seconds)
            current = self._snapshot.state(probe)
            for name in STATES:
                state.add_metric([*identity, name], float(name == current))
        yield from (state, interval)

    def _host(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for sample in self._snapshot.host:
            name = sample.metric
            if name not in families:
                kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
                labels = [label for label, _ in sample.labels]
                families[name] = kind(name, HOST_HELP[name], labels=labels)
            values = [value for _, value in sample.labels]
            families[name].add_metric(values, sample.value)  # type: ignore[attr-defined]
        yield from families.values()

    def _platform(self) -> Iterator[Metric]:
        opened = GaugeMetricFamily(
            "platform_incidents_open", "Incidents in progress.", labels=["severity"]
        )
        severities = [event.severity for event in list(self._snapshot.incidents.values())]
        for severity in ("critical", "warning"):
            opened.add_metric([severity], severities.count(severity))
        yield opened
        if (report := self._snapshot.platform) is not None:
            users = GaugeMetricFamily(
                "platform_users", "People with an account.", labels=["role", "tier", "state"]
            )
            for user in report.users:
                users.add_metric([user.role, user.tier, user.state], user.count)
            yield users
            yield GaugeMetricFamily(
                "platform_sessions_active",
                "Sessions that have not expired.",
                report.sessions_active,
            )


def _identity(probe: Probe) -> list[str]:
    return [probe.target, probe.name, probe.type, probe.region]
