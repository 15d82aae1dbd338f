"""Put a snapshot back where nothing is, and check a folder of snapshots."""

import hashlib
import os
from pathlib import Path

import duckdb
from pydantic import SecretStr

from collector.errors import BackupError, StoreError
from collector.model.report import Checked, Progress, Restored, Say, Verified
from collector.store.backup import schema_version
from collector.store.checkpoint import wal_path
from collector.store.db import explain
from collector.store.encryption import database_at
from collector.store.migrate import known_migrations
from collector.store.snapshots import BLOCK_BYTES, Snapshot, SnapshotFolder, sync_folder

SUFFIX = ".restoring"
EACH_BLOCKS = 64


def restore(
    folder: Path, snapshot_id: str | None, path: Path, key: SecretStr | None, say: Say
) -> None:
    """Write the snapshot (None: the newest) to `path`, after every block of it has been verified.

    `key`: of an encrypted store, to see whether it opens; unset, it is restored all the same.
    Raises BackupError, StoreError; then there is nothing at `path`.
    """
    snapshots = SnapshotFolder(folder)
    snapshot = snapshots.read(snapshot_id or _newest(snapshots))
    _require_known(snapshot)
    for taken in (path, wal_path(path)):
        if taken.exists():
            raise BackupError(
                str(taken),
                why="it exists, and nothing is overwritten",
                remedy="move it away, or give another place with --to",
            )
    verify_snapshot(snapshots, snapshot, say)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + SUFFIX)
    try:
        _write(snapshots, snapshot, unfinished, say)
        if key is not None or not snapshot.encrypted:
            _require_opens(unfinished, snapshot, key if snapshot.encrypted else None)
        # A link fails when something came to be there meanwhile; a rename would overwrite it.
        os.link(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_folder(path.parent)
    say(
        Restored(
            snapshot=snapshot.id,
            path=str(path),
            size_bytes=snapshot.size_bytes,
            schema_version=snapshot.schema_version,
        )
    )


def verify_folder(folder: Path, say: Say) -> None:
    """Every snapshot and every block that one needs, each block once; says a check for each."""
    snapshots = SnapshotFolder(folder)
    ids = snapshots.ids()
    verified: set[str] = set()
    differences = 0
    for snapshot_id in ids:
        problem, blocks = "", 0
        try:
            snapshot = snapshots.read(snapshot_id)
            blocks = len(snapshot.blocks)
            _verify_blocks(snapshots, snapshot, verified, say)
        except BackupError as error:
            problem = str(error)
            differences += 1
        say(
            Checked(
                check=f"snapshot {snapshot_id}",
                examined=blocks,
                unit="blocks",
                differences=1 if problem else 0,
                detail=problem,
            )
        )
    say(Verified(checks=len(ids), differences=differences))


def verify_snapshot(snapshots: SnapshotFolder, snapshot: Snapshot, say: Say) -> None:
    """Raises BackupError for the first block that is missing or damaged, or a wrong whole."""
    whole = hashlib.sha256()
    for place, name in enumerate(snapshot.blocks):
        whole.update(snapshots.read_block(name))
        _tell("verifying", place, snapshot, say)
    if whole.hexdigest() != snapshot.sha256:
        raise BackupError(
            f"snapshot {snapshot.id}",
            why="its blocks are not those of the file that was backed up",
            remedy="use another snapshot",
        )


def _verify_blocks(
    snapshots: SnapshotFolder, snapshot: Snapshot, verified: set[str], say: Say
) -> None:
    for place, name in enumerate(snapshot.blocks):
        if name not in verified:
            snapshots.read_block(name)
            verified.add(name)
        _tell(f"verifying {snapshot.id}", place, snapshot, say)


def _write(snapshots: SnapshotFolder, snapshot: Snapshot, path: Path, say: Say) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    with path.open("wb") as file:
        for place, name in enumerate(snapshot.blocks):
            file.write(snapshots.read_block(name))
            _tell("restoring", place, snapshot, say)
        file.flush()
        os.fsync(file.fileno())
    if path.stat().st_size != snapshot.size_bytes:
        raise BackupError(
            f"snapshot {snapshot.id}",
            why=f"its blocks make {path.stat().st_size} bytes, not {snapshot.size_bytes}",
            remedy="use another snapshot",
        )


def _require_opens(path: Path, snapshot: Snapshot, key: SecretStr | None) -> None:
    database = database_at(path, key)
    try:
        with database.use() as connection:
            found = schema_version(connection)
    except duckdb.Error as error:
        raise explain(path, error) from error
    finally:
        database.close()
    if found != snapshot.schema_version:
        raise BackupError(
            f"snapshot {snapshot.id}",
            why=f"it says schema version {snapshot.schema_version}, its file has {found}",
            remedy="use another snapshot",
        )


def _require_known(snapshot: Snapshot) -> None:
    known = known_migrations()[-1].version
    if snapshot.schema_version > known:
        raise StoreError(
            f"snapshot {snapshot.id}",
            why=f"it has schema version {snapshot.schema_version}, this dhmon knows up to {known}",
            remedy=f"restore it with dhmon {snapshot.dhmon_version} or newer",
        )


def _newest(snapshots: SnapshotFolder) -> str:
    ids = snapshots.ids()
    if not ids:
        raise BackupError(
            str(snapshots.path),
            why="no backup was ever finished in it",
            remedy="use another folder",
        )
    return ids[-1]


def _tell(step: str, place: int, snapshot: Snapshot, say: Say) -> None:
    if place % EACH_BLOCKS == 0 or place + 1 == len(snapshot.blocks):
        say(Progress(step, place * BLOCK_BYTES >> 20, snapshot.size_bytes >> 20, "MiB"))
