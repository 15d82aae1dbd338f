"""Whether the queries of built dashboards have data in a Prometheus."""

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import aiohttp
import msgspec

from common.errors import DhmonError

# What Grafana puts in for "All" and for a day-to-day time range.
VARIABLES = {
    "$job": ".+",
    "$instance": ".+",
    "$target": ".+",
    "$__rate_interval": "5m",
    "$__range": "6h",
}
TIMEOUT = aiohttp.ClientTimeout(total=30)


class Target(msgspec.Struct, frozen=True):
    """One query of a panel, as Grafana's file has it."""

    expr: str
    ref: str = msgspec.field(name="refId")


class Panel(msgspec.Struct, frozen=True):
    """A panel, or a row, which may hold panels."""

    title: str
    type: str
    targets: list[Target] = []
    panels: list["Panel"] = []


class Dashboard(msgspec.Struct, frozen=True):
    title: str
    panels: list[Panel]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What Prometheus said to one query; `problem` is None when it has data."""

    dashboard: str
    panel: str
    ref: str
    expr: str
    series: int
    problem: str | None


class Sample(msgspec.Struct, frozen=True):
    value: tuple[float, str]


class Data(msgspec.Struct, frozen=True):
    result: list[Sample]


class Answer(msgspec.Struct, frozen=True):
    """Of /api/v1/query; our queries all answer with a vector."""

    status: str
    data: Data | None = None
    error: str = ""


def read(path: Path) -> Dashboard:
    return msgspec.json.decode(path.read_bytes(), type=Dashboard)


def panels_of(dashboard: Dashboard) -> Iterator[Panel]:
    """All panels, those inside collapsed rows too, rows themselves not."""
    nested = (panel.panels for panel in dashboard.panels)
    everything = chain(dashboard.panels, chain.from_iterable(nested))
    return (panel for panel in everything if panel.type != "row")


def substitute(expr: str) -> str:
    """`expr` as Grafana sends it when every variable stands at "All"."""
    for name in sorted(VARIABLES, key=len, reverse=True):
        expr = expr.replace(name, VARIABLES[name])
    return expr


async def ask(dashboards: Sequence[Dashboard], prometheus_url: str) -> list[Finding]:
    """Run every query of every panel, one after the other.

    Raises DhmonError when there is no Prometheus at `prometheus_url`.
    """
    findings = []
    try:
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            for dashboard in dashboards:
                for panel in panels_of(dashboard):
                    for target in panel.targets:
                        answer = await _query(session, prometheus_url, substitute(target.expr))
                        findings.append(_finding(dashboard, panel, target, answer))
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
        raise DhmonError(
            f"Prometheus at {prometheus_url}",
            why=f"does not answer as one ({str(error) or type(error).__name__})",
            remedy="start it, or give its address with --prometheus",
        ) from None
    return findings


async def _query(session: aiohttp.ClientSession, prometheus_url: str, expr: str) -> Answer:
    url = f"{prometheus_url.rstrip('/')}/api/v1/query"
    async with session.post(url, data={"query": expr}) as response:
        return msgspec.json.decode(await response.read(), type=Answer)


def _finding(dashboard: Dashboard, panel: Panel, target: Target, answer: Answer) -> Finding:
    samples = answer.data.result if answer.data else []
    numbers = [sample for sample in samples if not math.isnan(float(sample.value[1]))]
    problem = None
    if answer.status != "success":
        problem = answer.error
    elif not numbers:
        problem = "no data" if not samples else "not a number"
    return Finding(
        dashboard=dashboard.title,
        panel=panel.title,
        ref=target.ref,
        expr=target.expr,
        series=len(numbers),
        problem=problem,
    )
