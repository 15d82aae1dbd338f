"""A folder of snapshots: blocks under their hashes, and for each snapshot the list of its blocks.

blocks/ab/ab12….zst     a block of the store's file, compressed, named by its SHA-256
snapshots/ID.json       what a snapshot consists of; written last, so it is whole or not there
unfinished/             what is being written
lock                    held while something is written
"""

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from collector.errors import BackupError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FORMAT = 1
# The file begins with three pages that say which blocks are in use; then come the blocks.
HEADER_BYTES = 3 * 4096
BLOCK_BYTES = 256 << 10
COMPRESSION_LEVEL = 3


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The store's file at one moment; `sha256` is that of the whole file."""

    format: int
    id: str
    taken_at: datetime
    dhmon_version: str
    duckdb_version: str
    schema_version: int
    encrypted: bool
    size_bytes: int
    sha256: str
    previous: str | None
    blocks: list[str]


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """The snapshot's JSON, and its SHA-256."""

    snapshot: msgspec.Raw
    sha256: str


class SnapshotFolder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.unfinished = path / "unfinished"
        self._snapshots = path / "snapshots"
        self._blocks = path / "blocks"

    def ids(self) -> list[str]:
        """Oldest first. Raises BackupError when this is no folder of snapshots."""
        if not self._snapshots.is_dir():
            raise BackupError(
                str(self.path),
                why="there are no backups in it",
                remedy="give the folder that was given to dhmon backup",
            )
        return sorted(file.stem for file in self._snapshots.glob("*.json"))

    def read(self, snapshot_id: str) -> Snapshot:
        """Raises BackupError when it is not there, damaged, or of a newer format."""
        path = self._snapshots / f"{snapshot_id}.json"
        try:
            sealed = msgspec.json.decode(path.read_bytes(), type=Sealed)
            if digest(sealed.snapshot) != sealed.sha256:
                raise _damaged(path)
            snapshot = msgspec.json.decode(sealed.snapshot, type=Snapshot)
        except FileNotFoundError:
            raise BackupError(
                f"snapshot {snapshot_id}",
                why=f"it is not in {self.path}",
                remedy="dhmon backup --list shows those that are",
            ) from None
        except msgspec.DecodeError:
            raise _damaged(path) from None
        if snapshot.format > FORMAT:
            raise BackupError(
                str(path),
                why=f"it has format {snapshot.format}, this dhmon knows up to {FORMAT}",
                remedy="use the newer dhmon that wrote it",
            )
        return snapshot

    def read_block(self, name: str) -> bytes:
        """Raises BackupError when the block is missing or is not what its name says."""
        path = self.block_path(name)
        try:
            block = zstd.decompress(path.read_bytes())
        except FileNotFoundError:
            raise BackupError(
                str(path), why="the block is missing", remedy="use another snapshot"
            ) from None
        except zstd.ZstdError:
            raise _damaged(path) from None
        if digest(block) != name:
            raise _damaged(path)
        return block

    def block_path(self, name: str) -> Path:
        return self._blocks / name[:2] / f"{name}.zst"

    def write_block(self, name: str, block: bytes) -> int:
        """Keep a block, durably; returns the bytes that it takes."""
        compressed = zstd.compress(block, COMPRESSION_LEVEL)
        write_whole(self.block_path(name), compressed, self.unfinished / name)
        return len(compressed)

    def write_snapshot(self, snapshot: Snapshot) -> None:
        for folder in [*self._blocks.glob("??"), self._blocks]:
            sync_folder(folder)
        text = msgspec.json.encode(snapshot)
        sealed = Sealed(snapshot=msgspec.Raw(text), sha256=digest(text))
        path = self._snapshots / f"{snapshot.id}.json"
        write_whole(path, msgspec.json.encode(sealed), self.unfinished / path.name)
        sync_folder(self._snapshots)

    def keep(self, count: int) -> int:
        """Remove all but the newest `count` snapshots and what only they needed; returns how many.

        Raises BackupError, before anything is removed, when a snapshot that stays cannot be read.
        """
        ids = self.ids()
        removed, kept = ids[:-count], ids[-count:]
        if not removed:
            return 0
        needed = {name for snapshot_id in kept for name in self.read(snapshot_id).blocks}
        for snapshot_id in removed:
            (self._snapshots / f"{snapshot_id}.json").unlink()
        # First the lists: a list without its blocks would be a lie.
        sync_folder(self._snapshots)
        for path in self._blocks.glob("??/*.zst"):
            if path.stem not in needed:
                path.unlink()
        return len(removed)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """For who writes. Raises BackupError when another process does."""
        for folder in (self.path, self._snapshots, self._blocks):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.path / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BackupError(
                    str(self.path),
                    why="another backup to this folder is going on",
                    remedy="wait until it has ended",
                ) from None
            # What a backup that was killed left.
            shutil.rmtree(self.unfinished, ignore_errors=True)
            self.unfinished.mkdir(mode=0o700)
            yield


def digest(content: bytes | msgspec.Raw) -> str:
    return hashlib.sha256(content).hexdigest()


def write_whole(path: Path, content: bytes, unfinished: Path) -> None:
    """The file is there with all of `content`, on disk, or as it was before."""
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    path.parent.mkdir(exist_ok=True, mode=0o700)
    unfinished.replace(path)


def sync_folder(path: Path) -> None:
    """Names in the folder are on disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _damaged(path: Path) -> BackupError:
    return BackupError(
        str(path),
        why="it is damaged",
        remedy="use another snapshot; dhmon backup --full writes every block anew",
    )
