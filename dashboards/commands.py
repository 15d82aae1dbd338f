"""`dhmon dashboards build|check`: Grafana's files from code, and whether they fit."""

import asyncio
from importlib import import_module
from pathlib import Path
from types import ModuleType

import click
import msgspec

from common.errors import DhmonError
from dashboards import verify

DIRECTORY = Path(__file__).parent.parent / "grafana" / "dashboards"
SDK = "grafana_foundation_sdk"

directory_option = click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=DIRECTORY,
    help="Where the JSON files are. [default: grafana/dashboards of this checkout]",
)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `check --json` prints; `queries` is empty when no Prometheus was asked."""

    ok: bool
    outdated: list[str]
    queries: list[verify.Finding]


@click.group()
def dashboards() -> None:
    """Build or check the dashboards."""


@dashboards.command()
@directory_option
def build(directory: Path) -> None:
    """Write the JSON files that Grafana reads."""
    for path in _builder().write(directory):
        click.echo(f"wrote {path}")


@dashboards.command()
@directory_option
@click.option(
    "--prometheus",
    "prometheus_url",
    metavar="URL",
    help="Also run every query against this Prometheus.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def check(directory: Path, prometheus_url: str | None, as_json: bool) -> None:
    """Compare the files with the code; exit 1 when they differ or a query has no data."""
    outdated = [str(path) for path in _builder().outdated(directory)]
    findings: list[verify.Finding] = []
    if prometheus_url and not outdated:
        files = [verify.read(path) for path in sorted(directory.glob("*.json"))]
        findings = asyncio.run(verify.ask(files, prometheus_url))
    failed = [finding for finding in findings if finding.problem]
    if as_json:
        report = Report(ok=not outdated and not failed, outdated=outdated, queries=findings)
        click.echo(msgspec.json.encode(report))
    else:
        _print(findings)
    _raise_for(outdated, failed, len(findings))
    if not as_json:
        click.echo(f"{directory}: as the code builds them")


def _print(findings: list[verify.Finding]) -> None:
    for finding in findings:
        outcome = finding.problem or f"{finding.series} series"
        click.echo(f"{finding.dashboard} / {finding.panel} / {finding.ref}: {outcome}")


def _raise_for(outdated: list[str], failed: list[verify.Finding], asked: int) -> None:
    if outdated:
        raise DhmonError(
            ", ".join(outdated),
            why="not what the code builds",
            remedy="run `dhmon dashboards build` and commit the result",
        )
    if failed:
        panels = dict.fromkeys(f"{finding.dashboard} / {finding.panel}" for finding in failed)
        raise DhmonError(
            "dashboards",
            why=f"{len(failed)} of {asked} queries have no data: {', '.join(panels)}",
            remedy="check that Prometheus scrapes a collector with probes, or correct the queries",
        )


def _builder() -> ModuleType:
    """`dashboards.build`, by name, because the SDK behind it is not part of every installation."""
    try:
        return import_module("dashboards.build")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != SDK:
            raise
        raise DhmonError(
            "dashboards",
            why="the Grafana Foundation SDK is not installed",
            remedy="run `scripts/setup dev`, or install grafana-foundation-sdk==0.0.21",
        ) from None
