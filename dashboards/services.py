"""Panels about our own services: whether they answer, and how the collector fares."""

from grafana_foundation_sdk.builders import stat, timeseries

from dashboards.common import (
    GREEN,
    RED,
    About,
    Query,
    new_stat,
    new_timeseries,
    thresholds,
    value_names,
)
from dashboards.queries import quantile, rate, service


def answering() -> stat.Panel:
    about = About(
        title="Services",
        description="Whether Prometheus' last scrape of each of our own services succeeded.",
        unit="short",
    )
    return (
        new_stat(about, Query(f"min by (job) ({service('up')})", "{{job}}"))
        .thresholds(thresholds((1, GREEN), base=RED))
        .mappings(value_names([("down", RED), ("up", GREEN)]))
    )


def rows_committed() -> timeseries.Panel:
    about = About(
        title="Rows to the store",
        description="Rows per second handed to the store, by table and by what became of them.",
        unit="wps",
    )
    expr = f"sum by (table, result) ({rate(service('collector_rows_total'))})"
    return new_timeseries(about, Query(expr, "{{table}} {{result}}"))


def commit_duration() -> timeseries.Panel:
    about = About(
        title="Commit duration",
        description="Duration of the store's transactions until they were on disk: half of them"
        " and 99 % of them were faster.",
        unit="s",
    )
    return _quantiles(about, "collector_commit_duration_seconds")


def queue() -> timeseries.Panel:
    about = About(
        title="Rows waiting",
        description="Rows that wait to be written. When it keeps growing, the disk is too slow.",
        unit="short",
    )
    return new_timeseries(about, Query(service("collector_queue_rows"), "{{instance}}"))


def store_size() -> timeseries.Panel:
    about = About(
        title="Size of the store",
        description="Bytes of the store's files on disk.",
        unit="bytes",
    )
    return new_timeseries(about, Query(service("collector_store_bytes"), "{{instance}}"))


def schedule_lag() -> timeseries.Panel:
    about = About(
        title="Lateness of probes",
        description="How much later than scheduled probes began: half of them and 99 % of them"
        " were less late. Late probes mean that the collector has too much to do.",
        unit="s",
    )
    return _quantiles(about, "collector_probe_schedule_lag_seconds")


def probe_runs() -> timeseries.Panel:
    about = About(
        title="Probe runs",
        description="Runs of probes per second, those that found their target down, and those"
        " left out because the run before was still going on.",
        unit="ops",
    )
    return new_timeseries(
        about,
        Query(f"sum({rate(service('collector_probes_total'))})", "runs"),
        Query(f"sum({rate(service('collector_probe_failures_total'))})", "found down"),
        Query(f"sum({rate(service('collector_probes_skipped_total'))})", "left out"),
    )


def _quantiles(about: About, histogram: str) -> timeseries.Panel:
    return new_timeseries(
        about,
        Query(quantile(0.5, histogram), "50 %"),
        Query(quantile(0.99, histogram), "99 %"),
    )
