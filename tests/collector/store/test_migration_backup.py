"""Before a migration the store is copied, so that there is a way back."""

from pathlib import Path

import pytest

from collector.errors import StoreError
from collector.store import database
from collector.store.batches import samples_batches
from collector.store.db import open_database
from collector.store.migrate import Migration, known_migrations, migrate
from collector.store.restore import restore
from collector.store.store import open_store
from common.settings import OtelSettings
from common.telemetry import start
from tests.collector.store.test_store import COUNT, Count, some_samples

NEWEST = known_migrations()[-1].version


async def opened(path: Path, *more: str) -> None:
    """Open the store with `more` migrations, add a row, and close it."""
    telemetry = start(OtelSettings(), service="test", version="0", environment="development")
    extra = [Migration(NEWEST + n, f"extra_{n}", sql) for n, sql in enumerate(more, start=1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "known_migrations", lambda: [*known_migrations(), *extra])
        async with open_store(path, telemetry) as store:
            [count] = await store.fetch(Count, COUNT)
            await store.append(*samples_batches(some_samples(count.count)))


def folders(path: Path) -> list[str]:
    return sorted(folder.name for folder in (path.parent / "backups").glob("*"))


async def test_a_new_store_is_not_copied(tmp_path: Path) -> None:
    await opened(tmp_path / "monitor.duckdb")
    await opened(tmp_path / "monitor.duckdb")

    assert folders(tmp_path / "monitor.duckdb") == []


async def test_the_copy_is_the_store_before(tmp_path: Path) -> None:
    path, back = tmp_path / "monitor.duckdb", tmp_path / "back.duckdb"
    await opened(path)

    await opened(path, "DELETE FROM samples")

    [name] = folders(path)
    restore(tmp_path / "backups" / name, None, back, None, lambda report: None)
    connection = open_database(back)
    counts = connection.execute(COUNT).fetchall()
    tables = connection.execute("SELECT max(version) FROM migration").fetchall()
    connection.close()
    assert name == f"before-{NEWEST + 1:04}"
    assert (counts, tables) == ([(1,)], [(NEWEST,)])


async def test_a_log_that_a_killed_collector_left_is_in_the_copy(tmp_path: Path) -> None:
    path = tmp_path / "monitor.duckdb"
    connection = open_database(path)
    migrate(connection, path, known_migrations())
    connection.execute("INSERT INTO samples VALUES (1, now(), 1)")
    for suffix in ("", ".wal"):
        source = path.with_name(path.name + suffix)
        (tmp_path / f"killed.duckdb{suffix}").write_bytes(source.read_bytes())
    connection.close()
    killed = tmp_path / "killed.duckdb"

    await opened(killed, "SELECT 1")

    [name] = folders(killed)
    restore(tmp_path / "backups" / name, None, tmp_path / "back.duckdb", None, lambda report: None)
    connection = open_database(tmp_path / "back.duckdb")
    counts = connection.execute(COUNT).fetchall()
    connection.close()
    assert counts == [(1,)]


async def test_only_the_last_three_copies_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "monitor.duckdb"
    steps = ["SELECT 1"] * 5
    for count in range(6):
        await opened(path, *steps[:count])

    assert folders(path) == [f"before-{NEWEST + n:04}" for n in (3, 4, 5)]


async def test_a_migration_that_fails_says_where_the_copy_is(tmp_path: Path) -> None:
    path = tmp_path / "monitor.duckdb"
    await opened(path)

    with pytest.raises(StoreError, match=r"dhmon restore .*before-0*\d+ --to PATH") as failure:
        await opened(path, "SELECT no_such_function()")

    assert f"migration {NEWEST + 1:04} extra_1 failed" in str(failure.value)
    assert folders(path) == [f"before-{NEWEST + 1:04}"]
    await opened(path)


async def test_without_room_for_the_copy_nothing_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "monitor.duckdb"
    await opened(path)
    (tmp_path / "backups").write_text("in the way")

    with pytest.raises(Exception, match="check the path, its permissions and its free space"):
        await opened(path, "DELETE FROM samples")

    (tmp_path / "backups").unlink()
    await opened(path)
