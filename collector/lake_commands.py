"""`dhmon lake`: what its operator does by hand; the collectors do the same on a schedule."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import duckdb

from collector.store.lake import LakeDatabase, lake_of
from collector.store.lake_upkeep import Step, steps
from common.cli import config_option
from common.settings import load


@click.group()
def lake() -> None:
    """Look after a lake that several collectors share."""


@lake.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def maintain(config_path: Path | None, as_json: bool) -> None:
    """Write rows to files, join small files, expire snapshots, delete what nobody needs.

    Collectors may run meanwhile; they write between two parts of the work.
    """
    place = lake_of(load(config_path))
    database = LakeDatabase(place)
    todo = steps(place.settings, datetime.now(UTC), thorough=True)
    try:
        with click.progressbar(
            todo, label="maintain", item_show_func=_name, file=sys.stderr
        ) as bar:
            outcome = {step: _run(database, step) for step in bar}
    except duckdb.Error as error:
        raise database.explain(error) from error
    finally:
        database.close()
    if as_json:
        click.echo(json.dumps({step.name: done for step, done in outcome.items()}))
        return
    for step, done in outcome.items():
        click.echo(f"{done} {step.unit}")


def _name(step: Step | None) -> str | None:
    return step.name if step else None


def _run(database: LakeDatabase, step: Step) -> int:
    """Part after part, and collectors write in between."""
    total = 0
    is_unfinished = True
    while is_unfinished:
        with database.writing() as cursor:
            done = step.run(cursor)
        total += done
        is_unfinished = step.is_repeated and done > 0
    return total
