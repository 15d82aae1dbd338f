"""One measured value of one series, and the identity of a series."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """`labels` are sorted by name; `at` is UTC; `value` is in the unit that the metric names."""

    metric: str
    labels: Labels
    at: datetime
    value: float


def series_id(metric: str, labels: Labels) -> int:
    """A stable 64-bit identity: the same metric and labels give the same number for ever."""
    digest = blake2b(metric.encode(), digest_size=8)
    for name, value in labels:
        digest.update(b"\xff" + name.encode() + b"\xfe" + value.encode())
    return int.from_bytes(digest.digest(), "little")
