"""Home: is it up now, and if not, which part; then probes, host and collector."""

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from dashboards import host, probes, services
from dashboards.common import new_dashboard, query_variable


def home() -> Dashboard:
    return (
        new_dashboard(
            "Home",
            uid="dhmon-home",
            description="Is the platform up, and if not, which part of it is not.",
        )
        .with_variable(
            query_variable("target", 'label_values(probe_success{job=~"$job"}, instance)')
        )
        .with_row(Row("Is it up now?"))
        .with_panel(probes.targets_up())
        .with_panel(probes.targets_down())
        .with_panel(probes.targets_undecided())
        .with_panel(probes.availability())
        .with_panel(services.answering())
        .with_panel(probes.first_expiry())
        .with_panel(probes.states())
        .with_row(Row("Probes"))
        .with_panel(probes.probe_duration())
        .with_panel(probes.http_phases())
        .with_panel(probes.certificate_days())
        .with_row(Row("Host"))
        .with_panel(host.cpu())
        .with_panel(host.memory())
        .with_panel(host.filesystems())
        .with_panel(host.network())
        .with_panel(host.disk())
        .with_panel(host.load())
        .with_row(Row("Collector"))
        .with_panel(services.rows_committed())
        .with_panel(services.commit_duration())
        .with_panel(services.queue())
        .with_panel(services.store_size())
        .with_panel(services.schedule_lag())
        .with_panel(services.probe_runs())
    )
