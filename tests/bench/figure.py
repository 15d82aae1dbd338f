"""One measured figure beside its reference, and the table of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """`ratio` is `measured` ÷ `reference`, both from the same run; `goal` says what is wanted."""

    name: str
    measured: float
    unit: str
    reference_name: str
    reference: float
    ratio: float
    goal: str
    is_met: bool


class Run(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    figures: list[Figure]


@dataclass(frozen=True, slots=True)
class Goal:
    """At most `limit`, or at least, of the ratio or of the measured value itself."""

    limit: float
    of_ratio: bool
    text: str
    at_least: bool = False

    def is_met(self, measured: float, ratio: float) -> bool:
        value = ratio if self.of_ratio else measured
        return value >= self.limit if self.at_least else value <= self.limit


NO_GOAL = Goal(float("inf"), of_ratio=False, text="reported")


def figure(
    name: str, measured: float, unit: str, *, beside: str, reference: float, goal: Goal
) -> Figure:
    ratio = measured / reference
    return Figure(
        name=name,
        measured=measured,
        unit=unit,
        reference_name=beside,
        reference=reference,
        ratio=ratio,
        goal=goal.text,
        is_met=goal.is_met(measured, ratio),
    )


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table."""
    head = "| figure | measured | reference, same run | ratio | goal | met |\n" + "|---" * 6 + "|"
    rows = [
        f"| {f.name} | {f.measured:.3g} {f.unit} | {f.reference:.3g} {f.unit} ({f.reference_name})"
        f" | {f.ratio:.2f} | {f.goal} | {'yes' if f.is_met else '**no**'} |"
        for f in figures
    ]
    return "\n".join([head, *rows])


def run_of(figures: Sequence[Figure]) -> Run:
    return Run(at=datetime.now(UTC), figures=list(figures))
