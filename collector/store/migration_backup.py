"""Before a store is migrated, it is copied: beside itself, the last few times."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import structlog

from collector.errors import StoreError
from collector.store.backup import BackupOptions, copy_blocking, prepare, schema_version
from collector.store.migrate import Migration

FOLDER = "backups"
KEPT = 3
log = structlog.get_logger(__name__)


@contextmanager
def copied_before_migrating(
    connection: duckdb.DuckDBPyConnection, path: Path, migrations: Sequence[Migration]
) -> Iterator[None]:
    """The block may migrate: what it would change has been copied to `backups/before-VERSION`.

    Raises BackupError when that cannot be done; then nothing is changed. An error of the block
    that follows tells where the copy is and how it is put back.
    """
    version, wanted = schema_version(connection), migrations[-1].version
    if version == 0 or version >= wanted:
        yield
        return
    folder = path.parent / FOLDER / f"before-{wanted:04}"
    copy_blocking(prepare(connection, path, BackupOptions(folder, keep=1)))
    log.info("the store is copied before it is migrated", folder=str(folder), version=version)
    try:
        yield
    except StoreError as error:
        raise StoreError(
            error.what,
            why=error.why,
            remedy=f"{error.remedy}; the store as it was is in {folder}: "
            f"dhmon restore {folder} --to PATH",
        ) from error
    _remove_old(folder.parent)


def _remove_old(parent: Path) -> None:
    for folder in sorted(parent.glob("before-[0-9]*"))[:-KEPT]:
        shutil.rmtree(folder)
