"""A snapshot is put back whole, or not at all."""

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from collector.errors import BackupError, StoreError
from collector.model.report import Progress, Report, Restored
from collector.store.backup import BackupOptions
from collector.store.batches import samples_batches
from collector.store.migrate import known_migrations
from collector.store.restore import restore
from collector.store.snapshots import Sealed, SnapshotFolder, digest
from collector.store.store import Store
from tests.collector.store.backups import (
    blocks_in,
    done,
    numbered,
    problems,
)


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
