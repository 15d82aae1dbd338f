"""A backup is the store as it was when it began, or it is not there."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import duckdb
import msgspec
import pytest

from collector.errors import BackupError, StoreError
from collector.model.report import BackedUp, Checked, Progress, Report, Restored
from collector.model.sample import Sample
from collector.store import block_copy
from collector.store.backup import BackupOptions, prepare
from collector.store.batches import samples_batches
from collector.store.block_copy import CopyRequest, copy
from collector.store.care import back_up
from collector.store.db import open_database
from collector.store.migrate import known_migrations, migrate
from collector.store.restore import restore, verify_folder
from collector.store.snapshots import HEADER_BYTES, Sealed, SnapshotFolder, digest
from collector.store.store import Store
from tests.collector.conftest import NOON

VALUES = "SELECT value FROM samples ORDER BY value"
SUM = "SELECT count(*), bit_xor(hash(ts, value)) FROM samples"
FILL = """
INSERT INTO samples SELECT 1, make_timestamptz(i), hash(i, $seed) / 1e9 FROM range($rows) AS t(i)
"""


def numbered(*values: float) -> list[Sample]:
    return [Sample("n", (), NOON + timedelta(seconds=value), value) for value in values]


async def done(store: Store, options: BackupOptions) -> BackedUp:
    said: list[Report] = []
    await back_up(store, options, said.append)
    last = said[-1]
    assert isinstance(last, BackedUp)
    return last


def restored(folder: Path, to: Path, snapshot: str | None = None) -> list[float]:
    restore(folder, snapshot, to, None, lambda report: None)
    connection = open_database(to)
    try:
        return [row[0] for row in connection.execute(VALUES).fetchall()]
    finally:
        connection.close()


def blocks_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("blocks/??/*.zst"))


@contextmanager
def filled(path: Path, rows: int = 3_000_000) -> Iterator[duckdb.DuckDBPyConnection]:
    """A store of some size, open in this process."""
    connection = open_database(path)
    migrate(connection, path, known_migrations())
    connection.execute(FILL, {"rows": rows, "seed": 0})
    try:
        yield connection
    finally:
        connection.close()


def problems(folder: Path) -> list[str]:
    said: list[Report] = []
    verify_folder(folder, said.append)
    checked = [report for report in said if isinstance(report, Checked)]
    return [report.detail for report in checked if report.differences]


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


async def test_a_damaged_block_is_found_and_not_restored(store: Store, tmp_path: Path) -> None:
    folder, target = tmp_path / "backups", tmp_path / "back.duckdb"
    await store.append(*samples_batches(numbered(*range(50_000))))
    await done(store, BackupOptions(folder))
    victim = max(blocks_in(folder), key=lambda path: path.stat().st_size)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)

    with pytest.raises(BackupError, match=f"{victim.name}: it is damaged; use another snapshot"):
        restore(folder, None, target, None, lambda report: None)

    [problem] = problems(folder)
    assert victim.name in problem
    assert not target.exists()
    await done(store, BackupOptions(folder, full=True))
    assert problems(folder) == []


async def test_a_missing_block_is_found(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    await done(store, BackupOptions(folder))
    blocks_in(folder)[0].unlink()

    [problem] = problems(folder)

    assert "the block is missing" in problem


@pytest.mark.parametrize("change", [b"", b"{}", b'{"sha256": "0", "snapshot": {"id": 1}}'])
async def test_a_damaged_list_is_found(store: Store, tmp_path: Path, change: bytes) -> None:
    folder = tmp_path / "backups"
    await done(store, BackupOptions(folder))
    [path] = (folder / "snapshots").glob("*.json")
    path.write_bytes(change)

    [problem] = problems(folder)

    assert f"{path}: it is damaged" in problem


async def test_a_list_that_says_something_else_is_found(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    await done(store, BackupOptions(folder))
    [path] = (folder / "snapshots").glob("*.json")
    path.write_bytes(path.read_bytes().replace(b'"encrypted":false', b'"encrypted":true'))

    [problem] = problems(folder)

    assert "damaged" in problem


async def test_blocks_in_another_order_are_refused(store: Store, tmp_path: Path) -> None:
    folder, target = tmp_path / "backups", tmp_path / "back.duckdb"
    backed_up = await done(store, BackupOptions(folder))
    changed = json.loads(msgspec.json.encode(SnapshotFolder(folder).read(backed_up.snapshot)))
    changed["blocks"].reverse()
    text = json.dumps(changed).encode()
    sealed = Sealed(snapshot=msgspec.Raw(text), sha256=digest(text))
    [path] = (folder / "snapshots").glob("*.json")
    path.write_bytes(msgspec.json.encode(sealed))

    with pytest.raises(BackupError, match="not those of the file that was backed up"):
        restore(folder, None, target, None, lambda report: None)

    assert not target.exists()


async def test_nothing_is_overwritten(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    await done(store, BackupOptions(folder))
    taken = tmp_path / "taken.duckdb"
    taken.write_text("precious")
    log_only = tmp_path / "log.duckdb"
    log_only.with_name("log.duckdb.wal").write_text("precious too")

    for target in (taken, log_only):
        with pytest.raises(BackupError, match="nothing is overwritten; move it away"):
            restore(folder, None, target, None, lambda report: None)

    assert taken.read_text() == "precious"


async def test_a_snapshot_of_a_newer_schema_is_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "backups"
    await done(store, BackupOptions(folder))
    monkeypatch.setattr("collector.store.restore.known_migrations", lambda: known_migrations()[:1])

    with pytest.raises(StoreError, match="this dhmon knows up to 1; restore it with dhmon"):
        restore(folder, None, tmp_path / "back.duckdb", None, lambda report: None)


def test_a_folder_without_backups_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="there are no backups in it"):
        restore(tmp_path, None, tmp_path / "back.duckdb", None, lambda report: None)


async def test_an_unknown_snapshot_is_named(store: Store, tmp_path: Path) -> None:
    await done(store, BackupOptions(tmp_path / "backups"))

    with pytest.raises(BackupError, match="snapshot yesterday: it is not in"):
        restore(tmp_path / "backups", "yesterday", tmp_path / "b.duckdb", None, lambda report: None)


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


def copied_beside(request: CopyRequest, kill_after_seconds: float | None = None) -> float:
    """Run the copying process; returns how long it took."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "collector.store.block_copy"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(request))
    process.stdin.close()
    if kill_after_seconds is None:
        assert process.wait(60) == 0
        return time.monotonic() - started
    try:
        process.wait(kill_after_seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return time.monotonic() - started


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


async def test_restoring_says_what_it_restored(store: Store, tmp_path: Path) -> None:
    backed_up = await done(store, BackupOptions(tmp_path / "backups"))
    said: list[Report] = []

    restore(tmp_path / "backups", None, tmp_path / "deep" / "back.duckdb", None, said.append)

    assert said[-1] == Restored(
        snapshot=backed_up.snapshot,
        path=str(tmp_path / "deep" / "back.duckdb"),
        size_bytes=backed_up.size_bytes,
        schema_version=known_migrations()[-1].version,
    )
    assert steps(said) == ["verifying", "restoring"]


def steps(said: Sequence[Report]) -> list[str]:
    return list(dict.fromkeys(report.step for report in said if isinstance(report, Progress)))
