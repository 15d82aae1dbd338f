"""A store that is encrypted on disk, with the DuckDB that has its OpenSSL as a wheel."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from collector.errors import StoreError
from collector.model.report import Checked, Report, Verified
from collector.model.sample import Sample
from collector.store.backup import BackupOptions
from collector.store.batches import samples_batches
from collector.store.care import (
    back_up,
    back_up_closed,
    compact,
    compact_closed,
    encrypt_closed,
    verify_closed,
)
from collector.store.db import open_database
from collector.store.encryption import database_at
from collector.store.restore import restore
from collector.store.store import Store, open_store
from common.settings import OtelSettings
from common.telemetry import Telemetry, start
from tests.collector.conftest import NOON

KEY = SecretStr("it's a key of many characters")
WORD = "UNMISTAKABLE"
COUNT = "SELECT count(*) AS count FROM samples"


def quiet(report: Report) -> None:
    pass


async def append(store: Store, first: int = 0) -> None:
    numbers = range(first, first + 3)
    rows = [Sample("word", (("said", f"{WORD}{n}"),), NOON, float(n)) for n in numbers]
    await store.append(*samples_batches(rows))


def measuring() -> Telemetry:
    return start(OtelSettings(), service="test", version="0", environment="development")


async def made(path: Path) -> None:
    async with open_store(path, measuring(), KEY) as store:
        await append(store)


def says(folder: Path, word: str) -> list[Path]:
    """The files that hold the word. Reading them here is for tests: it drops DuckDB's lock."""
    return [
        path for path in folder.rglob("*") if path.is_file() and word.encode() in path.read_bytes()
    ]


async def test_nothing_that_is_stored_can_be_read_in_the_files(tmp_path: Path) -> None:
    path = tmp_path / "monitor.duckdb"
    async with open_store(path, measuring(), KEY) as store:
        await append(store)
        await store.checkpoints.checkpoint()
        await append(store, first=3)
        assert store.checkpoints.wal_bytes() > 0
        assert says(tmp_path, WORD) == []
        [row] = await store.fetch(dict, COUNT)
    assert row == {"count": 6}
    assert says(tmp_path, WORD) == []


async def test_a_plain_store_can_be_read_in_the_files(tmp_path: Path) -> None:
    """Or the test before would prove nothing."""
    path = tmp_path / "monitor.duckdb"
    async with open_store(path, measuring()) as store:
        await append(store)
        await store.checkpoints.checkpoint()
        assert says(tmp_path, WORD) == [path]
        await append(store, first=3)
        assert len(says(tmp_path, WORD)) == 2


async def test_it_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "monitor.duckdb"
    await made(path)

    async with open_store(path, measuring(), KEY) as store:
        [row] = await store.fetch(dict, COUNT)

    assert row == {"count": 3}


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (SecretStr("it's a key of many characterz"), "is not the key that it was encrypted with"),
        (None, "it is encrypted; set collector.encryption_key"),
    ],
)
async def test_another_key_or_none_is_refused(
    tmp_path: Path, key: SecretStr | None, why: str
) -> None:
    path = tmp_path / "monitor.duckdb"
    await made(path)

    with pytest.raises(StoreError, match=why) as refusal:
        database_at(path, key)

    assert "characters" not in str(refusal.value)


def test_a_plain_store_is_not_opened_with_a_key(tmp_path: Path) -> None:
    path = tmp_path / "monitor.duckdb"
    open_database(path).close()

    with pytest.raises(StoreError, match=r"it is not encrypted, .* dhmon compact --encrypt"):
        database_at(path, KEY)


async def test_a_plain_store_is_encrypted_once(tmp_path: Path) -> None:
    path = tmp_path / "monitor.duckdb"
    async with open_store(path, measuring()) as store:
        await append(store)
    assert says(tmp_path, WORD) == [path]

    await encrypt_closed(path, KEY, quiet)

    assert says(tmp_path, WORD) == []
    async with open_store(path, measuring(), KEY) as store:
        assert await store.fetch(dict, COUNT) == [{"count": 3}]


async def test_backups_are_encrypted_and_come_back(tmp_path: Path) -> None:
    path, folder, back = tmp_path / "a.duckdb", tmp_path / "backups", tmp_path / "b.duckdb"
    async with open_store(path, measuring(), KEY) as store:
        await append(store)
        await back_up(store, BackupOptions(folder), quiet)
    await back_up_closed(path, KEY, BackupOptions(folder), quiet)

    restore(folder, None, back, KEY, quiet)

    assert says(tmp_path, WORD) == []
    async with open_store(back, measuring(), KEY) as store:
        assert await store.fetch(dict, COUNT) == [{"count": 3}]


async def test_a_backup_is_not_restored_under_another_key(tmp_path: Path) -> None:
    path, folder, back = tmp_path / "a.duckdb", tmp_path / "backups", tmp_path / "b.duckdb"
    await made(path)
    await back_up_closed(path, KEY, BackupOptions(folder), quiet)

    with pytest.raises(StoreError, match="is not the key"):
        restore(folder, None, back, SecretStr("another key of many characters"), quiet)

    assert not back.exists()
    restore(folder, None, back, None, quiet)
    assert back.exists()


async def test_it_is_compacted_and_verified_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "monitor.duckdb"
    async with open_store(path, measuring(), KEY) as store:
        await append(store)
        await compact(store, quiet)
        await append(store)
        assert await store.fetch(dict, COUNT) == [{"count": 6}]
    await compact_closed(path, KEY, quiet)
    said: list[Report] = []
    await verify_closed(path, KEY, said.append)

    [samples] = [
        r for r in said if isinstance(r, Checked) and r.check == "samples can be read whole"
    ]
    assert samples.examined == 6
    assert isinstance(said[-1], Verified)
    assert says(tmp_path, WORD) == []
