"""Panels about targets: their states, and what the probes of them saw."""

from grafana_foundation_sdk.builders import stat, statetimeline, timeseries

from dashboards.common import (
    BLUE,
    GREEN,
    GREY,
    RED,
    YELLOW,
    About,
    Query,
    new_stack,
    new_stat,
    new_state_timeline,
    new_timeseries,
    thresholds,
    value_names,
)
from dashboards.queries import in_state, probe, state_code

DAY_SECONDS = 86_400
TARGET = "{{name}} {{region}}"
STATE_COLOURS = (
    ("up", GREEN),
    ("pending", YELLOW),
    ("down", RED),
    ("unknown", GREY),
    ("maintenance", BLUE),
)


def targets_up() -> stat.Panel:
    about = About(
        title="Targets up",
        description="Targets whose last run met every expectation.",
        unit="short",
    )
    return new_stat(about, Query(in_state("up")))


def targets_down() -> stat.Panel:
    about = About(
        title="Targets down",
        description="Targets that failed their last run and all its repetitions.",
        unit="short",
    )
    return new_stat(about, Query(in_state("down"))).thresholds(thresholds((1, RED)))


def targets_undecided() -> stat.Panel:
    about = About(
        title="Pending, unknown, maintenance",
        description="Targets about which no verdict is given: a failure is being confirmed or"
        " nothing has run yet, the collector's own uplink is lost, or a maintenance window is on.",
        unit="short",
    )
    query = Query(in_state("pending", "unknown", "maintenance"))
    return new_stat(about, query).thresholds(thresholds((1, YELLOW)))


def availability() -> stat.Panel:
    about = About(
        title="Availability",
        description="Share of the time range in which the last run of a probe had succeeded, over"
        " all targets alike. Maintenance is not left out.",
        unit="percentunit",
    )
    query = Query(f"avg(avg_over_time({probe('probe_success')}[$__range]))")
    return (
        new_stat(about, query)
        .decimals(3)
        .thresholds(thresholds((0.99, YELLOW), (0.999, GREEN), base=RED))
    )


def first_expiry() -> stat.Panel:
    about = About(
        title="First certificate to expire",
        description="Days until the first of all certificates that targets presented expires.",
        unit="d",
    )
    return (
        new_stat(about, Query(f"min({_days_left()})"))
        .decimals(0)
        .thresholds(thresholds((7, YELLOW), (21, GREEN), base=RED))
    )


def states() -> statetimeline.Panel:
    about = About(
        title="State of every target",
        description="One line for each target, as its runs were judged.",
        unit="short",
    )
    panel = new_state_timeline(about, Query(state_code(), TARGET))
    return panel.mappings(value_names(STATE_COLOURS))


def probe_duration() -> timeseries.Panel:
    about = About(
        title="Probe duration",
        description="Duration of each target's last attempt, from name resolution to the last"
        " byte. Prometheus sees the last run before each scrape.",
        unit="s",
    )
    return new_timeseries(about, Query(probe("probe_duration_seconds"), TARGET))


def http_phases() -> timeseries.Panel:
    about = About(
        title="HTTP phases",
        description="Where the time of HTTP probes goes, averaged over targets: resolve names,"
        " connect, tls, processing (until the first byte of the answer), transfer.",
        unit="s",
    )
    expr = f"avg by (phase) ({probe('probe_http_duration_seconds')})"
    return new_stack(about, Query(expr, "{{phase}}"))


def certificate_days() -> timeseries.Panel:
    about = About(
        title="Certificate days left",
        description="Days until the first certificate of each target's chain expires; also of"
        " chains that could not be verified.",
        unit="d",
    )
    return new_timeseries(about, Query(_days_left(), TARGET))


def _days_left() -> str:
    return f"({probe('probe_ssl_earliest_cert_expiry')} - time()) / {DAY_SECONDS}"
