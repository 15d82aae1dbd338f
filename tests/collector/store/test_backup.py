"""A backup is the store as it was when it began, or it is not there."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from collector.errors import BackupError
from collector.model.report import Progress, Report
from collector.store import block_copy
from collector.store.backup import BackupOptions, prepare
from collector.store.batches import samples_batches
from collector.store.block_copy import CopyRequest, copy
from collector.store.care import back_up
from collector.store.db import open_database
from collector.store.restore import restore
from collector.store.snapshots import HEADER_BYTES, SnapshotFolder
from collector.store.store import Store
from tests.collector.store.backups import (
    FILL,
    SUM,
    blocks_in,
    copied_beside,
    done,
    filled,
    numbered,
    problems,
    restored,
)


async def test_a_backup_holds_what_was_acknowledged_before_it_began(
    store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    written = 0

    async def write() -> None:
        nonlocal written
        while True:
            await store.append(*samples_batches(numbered(written)))
            written += 1

    writing = asyncio.create_task(write())
    for _ in range(3):
        await asyncio.sleep(0.1)
        before = written
        backed_up = await done(store, BackupOptions(folder))

        values = restored(folder, tmp_path / f"{backed_up.snapshot}.duckdb", backed_up.snapshot)
        assert values == [float(number) for number in range(len(values))]
        assert before <= len(values) <= written
    writing.cancel()
    await asyncio.wait([writing])


def test_bulk_inserts_meanwhile_do_not_show(tmp_path: Path) -> None:
    """They go straight into free blocks of the file that is being copied."""
    path, folder = tmp_path / "monitor.duckdb", tmp_path / "backups"
    with filled(path) as connection:
        connection.execute("DELETE FROM samples WHERE ts < make_timestamptz(1000000)")
        request = prepare(connection, path, BackupOptions(folder))
        expected = connection.execute(SUM).fetchall()
        copying = subprocess.Popen(
            [sys.executable, "-m", "collector.store.block_copy"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        assert copying.stdin is not None
        copying.stdin.write(msgspec.json.encode(request))
        copying.stdin.close()
        seed = 1
        while copying.poll() is None:
            connection.execute(FILL, {"rows": 400_000, "seed": seed})
            seed += 1
        assert copying.returncode == 0

    restore(folder, None, tmp_path / "back.duckdb", None, lambda report: None)
    back = open_database(tmp_path / "back.duckdb")
    found = back.execute(SUM).fetchall()
    back.close()
    assert seed > 1
    assert found == expected


async def test_what_is_there_already_is_not_written_again(store: Store, tmp_path: Path) -> None:
    options = BackupOptions(tmp_path / "backups")
    await store.append(*samples_batches(numbered(*range(100_000))))
    first = await done(store, options)

    second = await done(store, options)
    await store.append(*samples_batches(numbered(-1)))
    third = await done(store, options)
    full = await done(store, BackupOptions(options.folder, full=True))

    assert first.written_blocks > 4
    assert second.written_blocks == 0
    assert 0 < third.written_blocks < first.written_blocks
    assert full.written_blocks == len({*SnapshotFolder(options.folder).read(full.snapshot).blocks})


async def test_old_snapshots_go_and_those_that_stay_are_whole(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    removed: list[int] = []
    for number in range(4):
        await store.append(
            *samples_batches(numbered(*range(number * 50_000, 50_000 * (number + 1))))
        )
        removed.append((await done(store, BackupOptions(folder, keep=2))).removed_snapshots)

    ids = SnapshotFolder(folder).ids()
    needed = {name for one in ids for name in SnapshotFolder(folder).read(one).blocks}
    assert removed == [0, 0, 1, 1]
    assert len(ids) == 2
    assert {path.stem for path in blocks_in(folder)} == needed
    assert len(restored(folder, tmp_path / "a.duckdb", ids[0])) == 150_000
    assert len(restored(folder, tmp_path / "b.duckdb", ids[1])) == 200_000


async def test_a_second_backup_to_the_same_folder_is_refused(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "backups"

    with (
        SnapshotFolder(folder).locked(),
        pytest.raises(BackupError, match="another backup to this folder is going on"),
    ):
        await done(store, BackupOptions(folder))

    assert (await done(store, BackupOptions(folder))).blocks > 0


async def test_a_folder_that_cannot_be_written_is_named(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(BackupError, match=r"file/backups.*check the path"):
        await done(store, BackupOptions(tmp_path / "file" / "backups"))


def test_a_checkpoint_in_between_begins_the_copy_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, folder = tmp_path / "monitor.duckdb", tmp_path / "backups"
    checkpoints = 0

    # Copied from a second file of the same content: the first is open in this process.
    twin = tmp_path / "twin.duckdb"

    def checkpoint_meanwhile(report: Report) -> None:
        nonlocal checkpoints
        if isinstance(report, Progress) and checkpoints < 1:
            checkpoints += 1
            connection.execute(FILL, {"rows": 200_000, "seed": 7})
            connection.execute("CHECKPOINT")
            subprocess.run(["cp", path, twin], check=True)

    monkeypatch.setattr(block_copy, "say", checkpoint_meanwhile)
    with filled(path, rows=200_000) as connection:
        request = prepare(connection, path, BackupOptions(folder))
        subprocess.run(["cp", path, twin], check=True)
        copy(msgspec.structs.replace(request, source=str(twin)))

    values = restored(folder, tmp_path / "back.duckdb")
    assert checkpoints == 1
    assert len(values) == 400_000


def test_checkpoints_without_end_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "file"
    source.write_bytes(bytes(HEADER_BYTES))

    def change_header(report: Report) -> None:
        source.write_bytes(os.urandom(HEADER_BYTES))

    monkeypatch.setattr(block_copy, "say", change_header)
    request = CopyRequest(
        source=str(source),
        folder=str(tmp_path / "backups"),
        dhmon_version="0",
        duckdb_version="0",
        schema_version=1,
        encrypted=False,
    )

    with pytest.raises(BackupError, match="checkpointed during each of 3 attempts; try again"):
        copy(request)

    assert SnapshotFolder(tmp_path / "backups").ids() == []


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 0.95])
def test_a_killed_backup_leaves_the_folder_usable(tmp_path: Path, share: float) -> None:
    path, folder = tmp_path / "monitor.duckdb", tmp_path / "backups"
    with filled(path) as connection:
        request = prepare(connection, path, BackupOptions(folder))
        whole = copied_beside(request)
        shutil.rmtree(folder)

        copied_beside(request, kill_after_seconds=whole * share)

        copied_beside(request)
    *_, snapshot = SnapshotFolder(folder).ids()
    assert problems(folder) == []
    assert list((folder / "unfinished").iterdir()) == []
    assert len(restored(folder, tmp_path / "back.duckdb", snapshot)) == 3_000_000


async def test_a_cancelled_backup_ends_its_process_and_frees_the_folder(
    store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    await store.append(*samples_batches(numbered(*range(200_000))))
    told = asyncio.Event()
    backing_up = asyncio.create_task(
        back_up(store, BackupOptions(folder), lambda report: told.set())
    )
    await asyncio.sleep(0.05)
    backing_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await backing_up

    assert (await done(store, BackupOptions(folder))).blocks > 0
