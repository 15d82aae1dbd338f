"""What one look at a target learned; mutable while the prober works, read afterwards."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

# Why a target fails: few and fixed, so that it can be a label. The first ones say how far a probe
# came, those from "status" on which expectation was not met.
Reason = Literal[
    "fault",  # ours: nothing is said about the target
    "permission",  # ours too: the kernel does not let this process send ICMP
    "timeout",
    "resolve",
    "refused",
    "unreachable",
    "reset",
    "connect",
    "tls",
    "http",  # what came is no HTTP, or not all of it
    "redirects",
    "status",
    "header",
    "body",
    "json",
    "banner",
    "dns",
    "answer",
    "certificate",
    "latency",
]


class ProbeFailure(Exception):  # noqa: N818 - a failing target is a result, not a fault of ours
    """The target is not as expected.

    Attributes:
        reason: fit for a label.
        detail: the sentence for people: what was expected and what was seen.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(slots=True)
class Phases:
    """Seconds spent in each phase, summed over redirects; None where a phase was not reached.

    DNS probes use resolve, connect and processing (the request), ICMP probes resolve, connect (the
    set-up) and processing (the round trip).
    """

    resolve: float | None = None
    connect: float | None = None
    tls: float | None = None
    processing: float | None = None
    transfer: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpFacts:
    """The last response; `version` is 1.1 or 1.0; lengths in bytes, None when not told."""

    status: int
    version: float
    redirects: int
    content_length: int | None
    body_length: int
    is_tls: bool
    last_modified_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """The chain that the server presented.

    `earliest_expiry_at` is over all presented certificates; `chain_expiry_at` over the chain that
    was verified, None when verification failed, with the reason in `problem`.
    """

    earliest_expiry_at: datetime
    chain_expiry_at: datetime | None
    problem: str | None
    subject: str
    issuer: str
    alternative_names: tuple[str, ...]
    serial: str
    fingerprint_sha256: str
    chain_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFacts:
    """The session ("TLSv1.3") and its certificates; version and cipher of the last handshake."""

    version: str
    cipher: str
    certificate: CertificateFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsFacts:
    """Counts of records by section; sections are None when the system resolver was asked."""

    answers: tuple[str, ...]
    answer_count: int
    authority_count: int | None
    additional_count: int | None
    rcode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IcmpFacts:
    """`hop_limit` of the reply; None where the kernel does not tell."""

    hop_limit: int | None


@dataclass(slots=True)
class Observation:
    """Filled in by a prober, in the order in which things become known."""

    phases: Phases = field(default_factory=Phases)
    ip: str | None = None
    http: HttpFacts | None = None
    tls: TlsFacts | None = None
    dns: DnsFacts | None = None
    icmp: IcmpFacts | None = None
    banner: str | None = None
    failed_due_to_regex: bool = False
