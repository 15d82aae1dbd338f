"""Panels about the collector's host, under the names that psutil's readings have."""

from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from dashboards.common import About, Query, new_timeseries
from dashboards.queries import rate, service


def cpu() -> timeseries.Panel:
    about = About(
        title="CPU",
        description="Share of the collector host's processors that was busy.",
        unit="percentunit",
    )
    query = Query(service("system_cpu_utilization_ratio"), "{{instance}}")
    return new_timeseries(about, query).min(0).max(1)


def memory() -> timeseries.Panel:
    about = About(
        title="Memory",
        description="Share of the host's memory that is not available to new processes.",
        unit="percentunit",
    )
    query = Query(service("system_memory_utilization_ratio"), "{{instance}}")
    return new_timeseries(about, query).min(0).max(1)


def filesystems() -> timeseries.Panel:
    about = About(
        title="File systems",
        description="Share of each file system that is used.",
        unit="percentunit",
    )
    query = Query(service("system_filesystem_utilization_ratio"), "{{instance}} {{mountpoint}}")
    return new_timeseries(about, query).min(0).max(1)


def network() -> timeseries.Panel:
    about = About(
        title="Network",
        description="Bytes per second through all of the host's interfaces; received upwards,"
        " sent downwards.",
        unit="Bps",
    )
    return _both_ways(about, "system_network_io_bytes_total", "receive", "transmit")


def disk() -> timeseries.Panel:
    about = About(
        title="Disks",
        description="Bytes per second to and from all of the host's disks; read upwards, written"
        " downwards.",
        unit="Bps",
    )
    return _both_ways(about, "system_disk_io_bytes_total", "read", "write")


def load() -> timeseries.Panel:
    about = About(
        title="Load",
        description="Processes that run or wait to run, averaged over one minute. More than the"
        " host has processors means that some wait.",
        unit="short",
    )
    return new_timeseries(about, Query(service("system_cpu_load_average_1m"), "{{instance}}"))


def _both_ways(about: About, counter: str, inwards: str, outwards: str) -> timeseries.Panel:
    panel = new_timeseries(
        about,
        Query(_by_direction(counter, inwards), f"{{{{instance}}}} {inwards}"),
        Query(_by_direction(counter, outwards), f"{{{{instance}}}} {outwards}"),
    )
    downwards = [DynamicConfigValue("custom.transform", "negative-Y")]
    return panel.override_by_query("B", downwards)


def _by_direction(counter: str, direction: str) -> str:
    selector = service(counter, f'direction="{direction}"')
    return f"sum by (instance) ({rate(selector)})"
