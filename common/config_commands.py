"""`dhmon config check|show`: what would be read, and whether it is right."""

import json
from pathlib import Path

import click

from common.cli import config_option
from common.settings import InvalidConfigError, load


@click.group()
def config() -> None:
    """Check or show the configuration."""


@config.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def check(config_path: Path | None, as_json: bool) -> None:
    """Report every error at once; exit 2 when there is one."""
    try:
        settings = load(config_path)
    except InvalidConfigError as error:
        if as_json:
            click.echo(json.dumps({"valid": False, "errors": error.problems}))
        raise
    if as_json:
        click.echo(json.dumps({"valid": True, "errors": [], "probes": len(settings.probe)}))
    else:
        click.echo(f"valid: {len(settings.probe)} probes, environment {settings.environment}")


@config.command()
@config_option
def show(config_path: Path | None) -> None:
    """Print everything that is in force, defaults included, secrets masked, as JSON."""
    settings = load(config_path)
    click.echo(settings.model_dump_json(by_alias=True, indent=2))
