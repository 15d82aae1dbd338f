"""Readings as people read them: a value, the span it covers, its age, or why there is none."""

from dataclasses import dataclass
from datetime import datetime

from common.overview import Overview, Reading

TITLES = {
    "uptime": "Uptime",
    "response_time": "Response time",
    "error_rate": "Error rate",
    "users": "Users",
    "cpu": "CPU",
    "memory": "Memory",
    "disk": "Disk",
}
# A share with a bar: how full something is.
GAUGES = frozenset({"cpu", "memory", "disk"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One number on the dashboard; `value` is None when there is none, then `reason` says why."""

    key: str
    title: str
    value: str | None
    unit: str
    share: float | None
    window: str
    measured_at: datetime | None
    age: str
    reason: str
    source: str


def cards(overview: Overview | None, now: datetime, problem: str = "") -> list[Card]:
    """All cards in their order; without an overview each says `problem`."""
    if overview is None:
        return [_unknown(key, problem, source="") for key in TITLES]
    return [_card(key, getattr(overview, key), now) for key in TITLES]


def _card(key: str, reading: Reading, now: datetime) -> Card:
    if reading.value is None:
        return _unknown(key, reading.reason or "not measured", source=reading.source)
    value, unit = _spelled(reading)
    return Card(
        key=key,
        title=TITLES[key],
        value=value,
        unit=unit,
        share=min(1.0, max(0.0, reading.value)) if key in GAUGES else None,
        window=_window(reading.window_seconds),
        measured_at=reading.measured_at,
        age=age(reading.measured_at, now),
        reason="",
        source=reading.source,
    )


def _unknown(key: str, reason: str, *, source: str) -> Card:
    return Card(
        key=key,
        title=TITLES[key],
        value=None,
        unit="",
        share=None,
        window="",
        measured_at=None,
        age="",
        reason=reason,
        source=source,
    )


def _spelled(reading: Reading) -> tuple[str, str]:
    """The value with as many digits as say something, and its unit."""
    value = reading.value or 0.0
    if reading.unit == "ratio":
        # 99.99 % must not be rounded to 100: what is missing is what matters.
        text = f"{value * 100:.3f}" if 0.99 < value < 1 else f"{value * 100:.1f}"
        return text.removesuffix(".0"), "%"
    if reading.unit == "seconds":
        return (f"{value * 1000:.0f}", "ms") if value >= 0.01 else (f"{value * 1000:.1f}", "ms")
    return f"{value:.0f}", ""


def _window(seconds: float | None) -> str:
    if seconds is None:
        return "at that moment"
    if seconds < 1:
        return "one measurement"
    return f"over the last {span(seconds)}"


def age(at: datetime | None, now: datetime) -> str:
    if at is None:
        return ""
    return f"{span(max(0.0, (now - at).total_seconds()))} ago"


def span(seconds: float) -> str:
    """A length of time in its largest fitting unit."""
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = round(seconds / size)
            return f"{count} {name}{'s' if count != 1 else ''}"
    return f"{seconds:.0f} s"
