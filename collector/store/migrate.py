"""Numbered SQL files, each applied once and whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from collector.errors import StoreError

FOLDER = Path(__file__).parent / "migrations"
CREATE_LOG = """
CREATE TABLE IF NOT EXISTS migration (
    version INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
)
"""
NEWEST = "SELECT coalesce(max(version), 0) FROM migration"
RECORD = "INSERT INTO migration (version, name) VALUES ($version, $name)"


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    name: str
    sql: str


def known_migrations(folder: Path = FOLDER) -> list[Migration]:
    """All migrations that this code has, in order; the file name starts with the number."""
    files = sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    return [Migration(int(f.name[:4]), f.stem[5:], f.read_text(encoding="utf-8")) for f in files]


def migrate(
    connection: duckdb.DuckDBPyConnection, path: Path, migrations: Sequence[Migration]
) -> list[Migration]:
    """Bring the file up to date and return what was applied.

    Each migration is one transaction: it is there whole or not at all.
    Raises StoreError when the file is newer than this code or a migration fails.
    """
    connection.execute(CREATE_LOG)
    newest = connection.execute(NEWEST).fetchall()[0][0]
    latest = migrations[-1].version
    if newest > latest:
        raise StoreError(
            str(path),
            why=f"the file has schema version {newest}, this code knows up to {latest}",
            remedy="install the newer dhgate-monitor that wrote it, or use another file",
        )
    pending = [migration for migration in migrations if migration.version > newest]
    for migration in pending:
        _apply(connection, path, migration)
    return pending


def _apply(connection: duckdb.DuckDBPyConnection, path: Path, migration: Migration) -> None:
    connection.execute("BEGIN TRANSACTION")
    try:
        connection.execute(migration.sql)
        connection.execute(RECORD, {"version": migration.version, "name": migration.name})
        connection.execute("COMMIT")
    except duckdb.Error as error:
        connection.execute("ROLLBACK")
        raise StoreError(
            str(path),
            why=f"migration {migration.version:04} {migration.name} failed: {error}",
            remedy="the file is as it was before; report this error",
        ) from error
