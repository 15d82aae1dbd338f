"""What a scrape shows."""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from collector.host import read_host
from collector.model.observation import (
    CertificateFacts,
    HttpFacts,
    Observation,
    Phases,
    TlsFacts,
)
from collector.signals.exposition import SnapshotCollector
from collector.signals.probe_metrics import PROBE_FAMILIES, measures
from collector.snapshot import Snapshot
from common.platform_report import PlatformReport, UserCount
from tests.collector.conftest import NOON, make_probe, make_result

CERTIFICATE = CertificateFacts(
    earliest_expiry_at=datetime(2027, 1, 1, tzinfo=UTC),
    chain_expiry_at=None,
    problem="certificate has expired",
    subject="CN=shop.example",
    issuer='CN="odd \\ issuer"\n',
    alternative_names=("shop.example", "www.shop.example"),
    serial="1f",
    fingerprint_sha256="ab" * 32,
    chain_length=2,
)


def https_observation() -> Observation:
    return Observation(
        phases=Phases(resolve=0.001, connect=0.002, tls=0.003, processing=0.004, transfer=0.005),
        ip="192.0.2.1",
        http=HttpFacts(
            status=200,
            version=1.1,
            redirects=1,
            content_length=None,
            body_length=12,
            is_tls=True,
            last_modified_at=NOON,
        ),
        tls=TlsFacts(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", certificate=CERTIFICATE),
    )


@pytest.fixture
def snapshot() -> Snapshot:
    snapshot = Snapshot()
    snapshot.watch([make_probe("shop"), make_probe("idle")])
    snapshot.results["shop"] = make_result(probe=make_probe("shop"), seen=https_observation())
    return snapshot


@pytest.fixture
def registry(snapshot: Snapshot) -> Iterator[CollectorRegistry]:
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(snapshot, store_bytes=lambda: 4096, uplink=lambda: None))
    yield registry


def render(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


SHOP = {"instance": "http://shop.example/", "name": "shop", "module": "http", "region": ""}


def test_a_result_shows_under_the_names_of_blackbox_exporter(registry: CollectorRegistry) -> None:
    def shown(metric: str, **extra: str) -> float | None:
        return registry.get_sample_value(metric, {**SHOP, **extra})

    assert shown("probe_success") == 1
    assert shown("probe_duration_seconds") == 0.25
    assert shown("probe_http_status_code") == 200
    assert shown("probe_http_redirects") == 1
    assert shown("probe_http_content_length") == -1
    assert shown("probe_ip_protocol") == 4
    assert shown("probe_http_duration_seconds", phase="tls") == 0.003
    assert shown("probe_http_duration_seconds", phase="processing") == 0.004
    assert shown("probe_tls_version_info", version="TLS 1.3") == 1
    assert shown("probe_ssl_earliest_cert_expiry") == CERTIFICATE.earliest_expiry_at.timestamp()


def test_a_chain_that_was_not_verified_has_no_expiry(registry: CollectorRegistry) -> None:
    assert registry.get_sample_value("probe_ssl_last_chain_expiry_timestamp_seconds", SHOP) is None


def test_a_target_without_a_run_has_a_state_and_no_success(registry: CollectorRegistry) -> None:
    idle = SHOP | {"instance": "http://idle.example/", "name": "idle"}

    assert registry.get_sample_value("probe_success", idle) is None
    assert registry.get_sample_value("probe_state", {**idle, "state": "pending"}) == 1
    assert registry.get_sample_value("probe_state", {**idle, "state": "up"}) == 0


def test_a_run_that_says_nothing_about_the_target_has_no_success(
    snapshot: Snapshot, registry: CollectorRegistry
) -> None:
    snapshot.results["shop"] = make_result("unknown", probe=make_probe("shop"))

    assert registry.get_sample_value("probe_success", SHOP) is None
    assert registry.get_sample_value("probe_state", {**SHOP, "state": "unknown"}) == 1


def test_a_target_that_is_gone_disappears(snapshot: Snapshot, registry: CollectorRegistry) -> None:
    snapshot.watch([])

    assert registry.get_sample_value("probe_success", SHOP) is None
    assert registry.get_sample_value("probe_state", {**SHOP, "state": "up"}) is None


def test_users_are_absent_until_they_are_reported(
    snapshot: Snapshot, registry: CollectorRegistry
) -> None:
    labels = {"role": "admin", "tier": "standard", "state": "enabled"}
    assert registry.get_sample_value("platform_users", labels) is None

    count = UserCount(role="admin", tier="standard", state="enabled", count=3)
    snapshot.platform = PlatformReport(measured_at=NOON, users=[count], sessions_active=2)

    assert registry.get_sample_value("platform_users", labels) == 3
    assert registry.get_sample_value("platform_sessions_active") == 2


def test_an_uplink_that_was_never_asked_is_absent(registry: CollectorRegistry) -> None:
    assert registry.get_sample_value("collector_uplink_up") is None


def test_every_measure_belongs_to_a_family_with_its_labels() -> None:
    for name, extra, _ in measures(make_result(seen=https_observation())):
        assert len(PROBE_FAMILIES[name][1]) == len(extra), name


def test_both_formats_read_back_the_same(snapshot: Snapshot, registry: CollectorRegistry) -> None:
    snapshot.host = read_host()
    text, text_type = render(registry, "text/plain;version=0.0.4")
    openmetrics, openmetrics_type = render(registry, "application/openmetrics-text;version=1.0.0")

    def samples(families: object) -> set[tuple[str, tuple[tuple[str, str], ...], float]]:
        return {
            (sample.name, tuple(sorted(sample.labels.items())), sample.value)
            for family in families  # type: ignore[attr-defined]
            for sample in family.samples
        }

    as_text = parse_text(text.decode())
    as_openmetrics = parse_openmetrics(openmetrics.decode())  # type: ignore[no-untyped-call]
    assert samples(as_text) == samples(as_openmetrics)
    assert text_type.startswith("text/plain; version=0.0.4")
    assert openmetrics_type.startswith("application/openmetrics-text; version=1.0.0")
    assert openmetrics.endswith(b"# EOF\n")


def test_promtool_has_nothing_to_say(snapshot: Snapshot, registry: CollectorRegistry) -> None:
    snapshot.host = read_host()
    text, _ = render(registry, "text/plain")

    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
    )

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
