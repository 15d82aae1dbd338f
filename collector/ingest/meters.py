"""What ingest measures of itself."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class IngestMeters:
    """Registered once for each process, in the registry that `/metrics` shows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        events = Counter(
            "collector_events",
            "Events that senders were told about, by what became of them.",
            ["result"],
            registry=registry,
        )
        self._accepted = events.labels("accepted")
        self._duplicate = events.labels("duplicate")
        self._rejected = events.labels("rejected")
        self.bytes_at_once = Gauge(
            "collector_ingest_body_bytes",
            "Bodies that are being read or decoded.",
            registry=registry,
        )
        self._quota_shared = Gauge(
            "collector_quota_shared",
            "Whether quotas are counted in Redis, for all processes together.",
            registry=registry,
        )
        self._quota_shared.set(1)

    def answered(self, accepted: int, duplicates: int, rejected: int) -> None:
        if accepted:
            self._accepted.inc(accepted)
        if duplicates:
            self._duplicate.inc(duplicates)
        if rejected:
            self._rejected.inc(rejected)

    def quota_counted(self, is_shared: bool) -> None:
        self._quota_shared.set(is_shared)
