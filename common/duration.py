"""Durations as people write them: "800ms", "30s", "5m", "12h", "14d", "5y"."""

import re
from typing import Annotated

from pydantic import BeforeValidator

UNIT_SECONDS = {
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
    "w": 604_800.0,
    "y": 31_536_000.0,
}
PATTERN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w|y)")
EXPECTED = 'expected a duration such as "800ms", "30s", "5m", "12h" or "14d"'


def parse_duration(text: object) -> float:
    """Seconds in `text`; parts add up ("1h30m").

    Raises ValueError when `text` is not a string of numbers with units.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        return _from_number(text)
    if not isinstance(text, str) or not text:
        raise ValueError(EXPECTED)
    parts = PATTERN.findall(text)
    if "".join(number + unit for number, unit in parts) != text:
        raise ValueError(EXPECTED)
    return sum(float(number) * UNIT_SECONDS[unit] for number, unit in parts)


def _from_number(number: float) -> float:
    if number == 0:
        return 0.0
    raise ValueError(EXPECTED + f"; {number} has no unit")


def format_duration(seconds: float) -> str:
    """The shortest exact spelling of `seconds` ("90s", "5m", "14d")."""
    for unit in ("d", "h", "m", "s"):
        count = seconds / UNIT_SECONDS[unit]
        if count >= 1 and count == int(count):
            return f"{int(count)}{unit}"
    return f"{seconds * 1000:g}ms"


Seconds = Annotated[float, BeforeValidator(parse_duration)]
