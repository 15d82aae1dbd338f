"""`python -m collector.store.block_copy`: copies the store's file into a folder of snapshots.

A process of its own, because closing the file drops the lock by which its process keeps others
out. After a checkpoint nothing that the header refers to changes until the next checkpoint, and
that one ends with another header. So a copy is consistent when the header is the same before and
after it, whatever was written meanwhile, and whatever became of the process that asked for it.
"""

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from collector.errors import BackupError
from collector.model.report import BackedUp, Failed, Progress, Report
from collector.store.snapshots import (
    BLOCK_BYTES,
    FORMAT,
    HEADER_BYTES,
    Snapshot,
    SnapshotFolder,
    digest,
)

ATTEMPTS = 3
THREADS = 2
MAX_WAITING = 64
PROGRESS_SECONDS = 0.25
NICENESS = 10


class CopyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to copy where; `keep`: how many snapshots stay, None: all."""

    source: str
    folder: str
    dhmon_version: str
    duckdb_version: str
    schema_version: int
    encrypted: bool
    full: bool = False
    keep: int | None = None


@dataclass
class Copied:
    """The blocks in order, and what had to be written for them."""

    blocks: list[str]
    sha256: str
    size_bytes: int
    written_blocks: int = 0
    written_bytes: int = 0


def copy(request: CopyRequest) -> BackedUp:
    """Raises BackupError; then the folder holds what it held, and perhaps blocks for later."""
    folder = SnapshotFolder(Path(request.folder))
    with folder.locked():
        before = folder.ids()
        for _ in range(ATTEMPTS):
            copied = _copy_once(Path(request.source), folder, is_full=request.full)
            if copied is not None:
                break
        else:
            raise BackupError(
                request.source,
                why=f"it was checkpointed during each of {ATTEMPTS} attempts",
                remedy="try again when less is written",
            )
        snapshot = _snapshot(request, copied, before[-1] if before else None)
        folder.write_snapshot(snapshot)
        removed = folder.keep(request.keep) if request.keep else 0
    return BackedUp(
        snapshot=snapshot.id,
        taken_at=snapshot.taken_at,
        folder=request.folder,
        size_bytes=copied.size_bytes,
        blocks=len(copied.blocks),
        written_blocks=copied.written_blocks,
        written_bytes=copied.written_bytes,
        removed_snapshots=removed,
    )


def _snapshot(request: CopyRequest, copied: Copied, previous: str | None) -> Snapshot:
    now = datetime.now(UTC)
    return Snapshot(
        format=FORMAT,
        id=f"{now:%Y%m%dT%H%M%S.%f}Z",
        taken_at=now,
        dhmon_version=request.dhmon_version,
        duckdb_version=request.duckdb_version,
        schema_version=request.schema_version,
        encrypted=request.encrypted,
        size_bytes=copied.size_bytes,
        sha256=copied.sha256,
        previous=previous,
        blocks=copied.blocks,
    )


def _copy_once(source: Path, folder: SnapshotFolder, *, is_full: bool) -> Copied | None:
    """None when a checkpoint came in between."""
    whole = hashlib.sha256()
    copied = Copied(blocks=[], sha256="", size_bytes=0)
    with source.open("rb", buffering=0) as file, _Keeper(folder, is_full=is_full) as keeper:
        header = file.read(HEADER_BYTES)
        copied.size_bytes = os.fstat(file.fileno()).st_size
        for piece in _pieces(file.fileno(), header, copied.size_bytes):
            whole.update(piece)
            name = digest(piece)
            copied.blocks.append(name)
            keeper.keep(name, piece)
        keeper.finish()
        if os.pread(file.fileno(), HEADER_BYTES, 0) != header:
            return None
    copied.sha256 = whole.hexdigest()
    copied.written_blocks, copied.written_bytes = keeper.blocks, keeper.bytes
    return copied


def _pieces(file: int, header: bytes, size_bytes: int) -> Iterator[bytes]:
    """The header and each block; tells how far it is."""
    total = size_bytes >> 20
    told = time.monotonic()
    yield header
    for start in range(HEADER_BYTES, size_bytes, BLOCK_BYTES):
        yield os.pread(file, min(BLOCK_BYTES, size_bytes - start), start)
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            say(Progress("copying", start >> 20, total, "MiB"))
    say(Progress("copying", total, total, "MiB"))


class _Keeper:
    """Compresses and writes blocks on threads of its own, each of them once."""

    def __init__(self, folder: SnapshotFolder, *, is_full: bool) -> None:
        self.blocks = 0
        self.bytes = 0
        self._folder = folder
        self._is_full = is_full
        self._seen: set[str] = set()
        self._waiting: list[Future[int]] = []
        self._threads = ThreadPoolExecutor(THREADS)

    def __enter__(self) -> "_Keeper":
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def keep(self, name: str, block: bytes) -> None:
        if name in self._seen:
            return
        self._seen.add(name)
        if not self._is_full and self._folder.block_path(name).exists():
            return
        if len(self._waiting) >= MAX_WAITING:
            self.finish()
        self._waiting.append(self._threads.submit(self._folder.write_block, name, block))

    def finish(self) -> None:
        """What was given is on disk. Raises what went wrong with it."""
        for written in self._waiting:
            self.bytes += written.result()
            self.blocks += 1
        self._waiting.clear()


def say(report: Report) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


def main() -> int:
    os.nice(NICENESS)
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=CopyRequest)
    try:
        say(copy(request))
    except BackupError as error:
        say(Failed(what=error.what, why=error.why, remedy=error.remedy))
        return 1
    except BrokenPipeError:
        return 1
    except OSError as error:
        remedy = "check the path, its permissions and its free space"
        say(Failed(what=request.folder, why=str(error), remedy=remedy))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
