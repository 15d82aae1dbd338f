"""The cards of the dashboard: a value with its window and time, or why there is none."""

from dataclasses import dataclass
from datetime import datetime

from common.overview import Overview, Reading
from web.errors import CollectorError
from web.overview.figures import age, spelled, window

TITLES = {
    "uptime": "Uptime",
    "response_time": "Response time",
    "error_rate": "Error rate",
    "users": "Users",
    "cpu": "CPU",
    "memory": "Memory",
    "disk": "Disk",
}
# How full something is: shown with a bar.
GAUGES = frozenset({"cpu", "memory", "disk"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A value that is known; `share` is 0 to 1 for what has a bar, else None."""

    value: str
    unit: str
    share: float | None
    window: str
    at: datetime | None
    age: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One figure; without `measured` there is a `reason`."""

    key: str
    title: str
    measured: Measured | None
    reason: str


def cards(answer: Overview | CollectorError, now: datetime) -> list[Card]:
    """All cards in their order; each says why when the collector gave no overview."""
    if isinstance(answer, Overview):
        return [_card(key, getattr(answer, key), now) for key in TITLES]
    reason = f"the collector {answer.why}"
    return [
        Card(key=key, title=title, measured=None, reason=reason) for key, title in TITLES.items()
    ]


def _card(key: str, reading: Reading, now: datetime) -> Card:
    return Card(
        key=key,
        title=TITLES[key],
        measured=_measured(key, reading.value, reading, now) if reading.value is not None else None,
        reason=reading.reason or "the collector gives no reason",
    )


def _measured(key: str, value: float, reading: Reading, now: datetime) -> Measured:
    text, unit = spelled(value, reading.unit)
    return Measured(
        value=text,
        unit=unit,
        share=min(1.0, max(0.0, value)) if key in GAUGES else None,
        window=window(reading.window_seconds),
        at=reading.measured_at,
        age=age(reading.measured_at, now) if reading.measured_at is not None else "",
    )
