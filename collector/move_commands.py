"""`dhmon move out|in`: from a file to a lake, and back."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import duckdb

from collector.store.database import Database
from collector.store.encryption import database_at
from collector.store.lake import Lake, LakeDatabase, place_of
from collector.store.migrate import migrate
from collector.store.transfer import TABLES, Moved, move_in, move_out
from common.cli import config_option
from common.settings import Settings, load

folder_argument = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
json_option = click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")


@click.group()
def move() -> None:
    """Move all rows between a file and a lake, as Parquet (docs/scale.md)."""


@move.command("out")
@folder_argument
@config_option
@json_option
def out_command(folder: Path, config_path: Path | None, as_json: bool) -> None:
    """Write all rows of the store to FOLDER, which is new or empty."""
    with _opened(load(config_path)) as database:
        _follow(move_out(database, folder.absolute()), as_json=as_json)


@move.command("in")
@folder_argument
@config_option
@json_option
def in_command(folder: Path, config_path: Path | None, as_json: bool) -> None:
    """Write all rows in FOLDER to the store, which is new or empty."""
    with _opened(load(config_path)) as database:
        with database.writing() as cursor:
            migrate(cursor, database.path, database.migrations())
        _follow(move_in(database, folder.absolute()), as_json=as_json)


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    place = place_of(settings)
    key = settings.collector.encryption_key
    database = LakeDatabase(place) if isinstance(place, Lake) else database_at(place, key)
    try:
        yield database
    except duckdb.Error as error:
        raise database.explain(error) from error
    finally:
        database.close()


def _follow(moving: Iterator[Moved], *, as_json: bool) -> None:
    with click.progressbar(
        moving, length=len(TABLES), label="move", item_show_func=_name, file=sys.stderr
    ) as bar:
        rows = {moved.table: moved.rows for moved in bar}
    if as_json:
        click.echo(json.dumps(rows))
        return
    for table, count in rows.items():
        click.echo(f"{count:>12} rows of {table}")


def _name(moved: Moved | None) -> str | None:
    return moved.table if moved else None
