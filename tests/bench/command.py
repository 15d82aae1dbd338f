"""`dhmon bench`: every figure beside its reference, measured in the same run."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import click
import msgspec

from common import logs
from common.settings import LogSettings
from tests.bench import (
    bulk_ingest,
    dashboard_queries,
    event_size,
    memory,
    probe_cost,
    sample_size,
    schedule,
    single_events,
    start,
    telemetry_cost,
)
from tests.bench.figure import Figure, run_of, table
from tests.servers.certificates import make_certificates
from tests.servers.nginx import Nginx, running_nginx

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

The last run of `make bench`, written by `dhmon bench --write`.
Every figure stands beside a reference that was measured in the same run on the same machine,
because machines differ and this one is shared: read the ratios.

{at:%Y-%m-%d %H:%M} UTC

{table}

What each figure is, and how it is measured, stands in `tests/bench/`.
"""
Measure = Callable[[Path, Nginx], list[Figure]]
FIGURES: dict[str, Measure] = {
    "telemetry": lambda folder, nginx: telemetry_cost.measure(),
    "start": lambda folder, nginx: start.measure(folder),
    "probe-cost": probe_cost.measure,
    "schedule": schedule.measure,
    "memory": memory.measure,
    "bulk-ingest": bulk_ingest.measure,
    "single-events": single_events.measure,
    "event-size": event_size.measure,
    "sample-size": sample_size.measure,
    "queries": dashboard_queries.measure,
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(FIGURES)))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--write", is_flag=True, help="Keep the outcome in docs/benchmarks.md.")
def bench(names: tuple[str, ...], as_json: bool, write: bool) -> None:
    """Measure this installation; all figures, or the named ones (about fifteen minutes)."""
    # What the store logs is not to stand between the figures.
    logs.configure(LogSettings(level="warning"), service="bench")
    figures: list[Figure] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dhmon-bench-")))
        nginx = stack.enter_context(running_nginx(folder, make_certificates(folder)))
        for name in names or FIGURES:
            click.echo(f"measuring {name} …", err=True)
            figures += FIGURES[name](folder, nginx)
    outcome = run_of(figures)
    click.echo(msgspec.json.encode(outcome).decode() if as_json else table(figures))
    if write:
        DOCUMENT.write_text(HEAD.format(at=outcome.at, table=table(figures)), encoding="utf-8")
