"""Probe results under blackbox_exporter's names, and what we know beyond it."""

from collections.abc import Iterator

from collector.model.observation import (
    DnsFacts,
    HttpFacts,
    IcmpFacts,
    Observation,
    Phases,
    TlsFacts,
)
from collector.model.result import ProbeResult

# Name: help, labels beyond instance, name, module and region.
PROBE_FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "probe_success": ("Whether the last run found the target as expected.", ()),
    "probe_duration_seconds": ("Duration of the last run's last attempt.", ()),
    "probe_dns_lookup_time_seconds": ("Time taken to resolve the target's name.", ()),
    "probe_ip_protocol": ("IP version that was used: 4 or 6.", ()),
    "probe_http_duration_seconds": ("Duration by phase, summed over redirects.", ("phase",)),
    "probe_http_status_code": ("Status of the last response.", ()),
    "probe_http_version": ("HTTP version of the last response.", ()),
    "probe_http_redirects": ("Redirects that were followed.", ()),
    "probe_http_ssl": ("Whether the last response came over TLS.", ()),
    "probe_http_content_length": ("Length that the response announced; -1 without one.", ()),
    "probe_http_uncompressed_body_length": ("Length of the body that was read.", ()),
    "probe_http_last_modified_timestamp_seconds": ("Last-Modified of the response.", ()),
    "probe_failed_due_to_regex": ("Whether a pattern was what failed the run.", ()),
    "probe_ssl_earliest_cert_expiry": (
        "When the first of the presented certificates ends, verified or not.",
        (),
    ),
    "probe_ssl_last_chain_expiry_timestamp_seconds": ("When the verified chain ends.", ()),
    "probe_ssl_last_chain_info": (
        "The certificate of the target: always 1.",
        ("fingerprint_sha256", "subject", "issuer", "subjectalternative", "serialnumber"),
    ),
    "probe_tls_version_info": ("TLS version that was agreed: always 1.", ("version",)),
    "probe_tls_cipher_info": ("TLS cipher that was agreed: always 1.", ("cipher",)),
    "probe_dns_duration_seconds": ("Duration of the DNS run by phase.", ("phase",)),
    "probe_dns_answer_rrs": ("Records in the answer section.", ()),
    "probe_dns_authority_rrs": ("Records in the authority section.", ()),
    "probe_dns_additional_rrs": ("Records in the additional section.", ()),
    "probe_dns_query_succeeded": ("Whether the server answered at all.", ()),
    "probe_icmp_duration_seconds": ("Duration of the ICMP run by phase.", ("phase",)),
    "probe_icmp_reply_hop_limit": ("Hop limit of the reply.", ()),
    "probe_last_run_timestamp_seconds": ("When the last run began.", ()),
}
TLS_NAMES = {"TLSv1": "TLS 1.0", "TLSv1.1": "TLS 1.1", "TLSv1.2": "TLS 1.2", "TLSv1.3": "TLS 1.3"}

Measure = tuple[str, tuple[str, ...], float]


def measures(result: ProbeResult) -> Iterator[Measure]:
    """All that one result says: name, values of the extra labels, value. What was not measured is
    left out; a run that says nothing about the target has no probe_success."""
    seen = result.seen
    if result.verdict != "unknown":
        yield "probe_success", (), float(result.verdict == "up")
    yield "probe_duration_seconds", (), result.duration_seconds
    yield "probe_last_run_timestamp_seconds", (), result.started_at.timestamp()
    if seen.phases.resolve is not None:
        yield "probe_dns_lookup_time_seconds", (), seen.phases.resolve
    if seen.ip is not None:
        yield "probe_ip_protocol", (), 6 if ":" in seen.ip else 4
    yield from _by_type(result.probe.type, seen)
    if seen.tls is not None:
        yield from _tls(seen.tls)


def _by_type(kind: str, seen: Observation) -> Iterator[Measure]:
    match kind:
        case "http":
            yield from _phases("probe_http_duration_seconds", HTTP_PHASES, seen.phases)
            if seen.http is not None:
                yield from _http(seen.http)
            yield "probe_failed_due_to_regex", (), float(seen.failed_due_to_regex)
        case "tcp":
            yield "probe_failed_due_to_regex", (), float(seen.failed_due_to_regex)
        case "dns":
            yield from _phases("probe_dns_duration_seconds", DNS_PHASES, seen.phases)
            yield "probe_dns_query_succeeded", (), float(seen.dns is not None)
            if seen.dns is not None:
                yield from _dns(seen.dns)
        case "icmp":
            yield from _phases("probe_icmp_duration_seconds", ICMP_PHASES, seen.phases)
            if seen.icmp is not None:
                yield from _icmp(seen.icmp)


HTTP_PHASES = ("resolve", "connect", "tls", "processing", "transfer")
DNS_PHASES = ("resolve", "connect", "request")
ICMP_PHASES = ("resolve", "setup", "rtt")


def _phases(family: str, names: tuple[str, ...], phases: Phases) -> Iterator[Measure]:
    """A phase that was not reached is 0, as blackbox_exporter has it and its dashboards expect."""
    if names is HTTP_PHASES:
        spent = (phases.resolve, phases.connect, phases.tls, phases.processing, phases.transfer)
    else:
        spent = (phases.resolve, phases.connect, phases.processing, None, None)
    for name, seconds in zip(names, spent, strict=False):
        yield family, (name,), seconds or 0.0


def _http(facts: HttpFacts) -> Iterator[Measure]:
    yield "probe_http_status_code", (), facts.status
    yield "probe_http_version", (), facts.version
    yield "probe_http_redirects", (), facts.redirects
    yield "probe_http_ssl", (), float(facts.is_tls)
    length = -1 if facts.content_length is None else facts.content_length
    yield "probe_http_content_length", (), length
    yield "probe_http_uncompressed_body_length", (), facts.body_length
    if facts.last_modified_at is not None:
        modified = facts.last_modified_at.timestamp()
        yield "probe_http_last_modified_timestamp_seconds", (), modified


def _tls(facts: TlsFacts) -> Iterator[Measure]:
    certificate = facts.certificate
    yield "probe_ssl_earliest_cert_expiry", (), certificate.earliest_expiry_at.timestamp()
    if certificate.chain_expiry_at is not None:
        chain_end = certificate.chain_expiry_at.timestamp()
        yield "probe_ssl_last_chain_expiry_timestamp_seconds", (), chain_end
    identity = (
        certificate.fingerprint_sha256,
        certificate.subject,
        certificate.issuer,
        ",".join(certificate.alternative_names),
        certificate.serial,
    )
    yield "probe_ssl_last_chain_info", identity, 1
    yield "probe_tls_version_info", (TLS_NAMES.get(facts.version, facts.version),), 1
    yield "probe_tls_cipher_info", (facts.cipher,), 1


def _dns(facts: DnsFacts) -> Iterator[Measure]:
    yield "probe_dns_answer_rrs", (), facts.answer_count
    if facts.authority_count is not None:
        yield "probe_dns_authority_rrs", (), facts.authority_count
    if facts.additional_count is not None:
        yield "probe_dns_additional_rrs", (), facts.additional_count


def _icmp(facts: IcmpFacts) -> Iterator[Measure]:
    if facts.hop_limit is not None:
        yield "probe_icmp_reply_hop_limit", (), facts.hop_limit
