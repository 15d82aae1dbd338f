"""Numbers and moments as people read them."""

import math
from datetime import datetime

from common.overview import Unit


def spelled(value: float, unit: Unit) -> tuple[str, str]:
    """`value` with as many digits as say something, and its unit."""
    if unit == "count":
        return f"{value:,.0f}", ""
    if unit == "seconds":
        return duration(value)
    return _percent(value), "%"


def _percent(ratio: float) -> str:
    """Cut, not rounded, towards what is not whole: 99.996 is not 100, and 0.004 is not 0."""
    percent = ratio * 100
    if 99 < percent < 100:
        return f"{math.floor(percent * 100 + 1e-9) / 100:.2f}"
    if 0 < percent < 1:
        return f"{math.ceil(percent * 100 - 1e-9) / 100:.2f}"
    return f"{percent:.1f}".removesuffix(".0")


def duration(seconds: float) -> tuple[str, str]:
    """A short time as a number and a unit: ("182", "ms"), ("1.24", "s")."""
    if seconds >= 1:
        return f"{seconds:.2f}", "s"
    milliseconds = seconds * 1000
    return (f"{milliseconds:.0f}" if milliseconds >= 10 else f"{milliseconds:.1f}"), "ms"


def window(seconds: float | None) -> str:
    """The span that a value covers."""
    if seconds is None:
        return "at one moment"
    if seconds < 1:
        return "one measurement"
    return f"last {span(seconds)}"


def age(at: datetime, now: datetime) -> str:
    return f"{span(max(0.0, (now - at).total_seconds()), short=True)} ago"


def span(seconds: float, *, short: bool = False) -> str:
    """A length of time in its largest fitting unit; one day is 24 hours until there are two."""
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if round(seconds) >= size * (2 if size == 86_400 else 1):
            return _counted(round(seconds / size), name, short=short)
    return _counted(round(seconds), "second", short=short)


def _counted(count: int, name: str, *, short: bool) -> str:
    if short:
        return f"{count} {'min' if name == 'minute' else name[0]}"
    return f"{count} {name}{'' if count == 1 else 's'}"
