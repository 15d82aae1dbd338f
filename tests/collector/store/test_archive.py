"""Days that leave the store are Parquet files that anything reads."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from collector.errors import StoreError
from collector.model.sample import Sample
from collector.store.archive import archive_day
from collector.store.batches import samples_batches
from collector.store.store import Store, open_store
from collector.store.upkeep import retire, roll_up
from common.store_settings import RetentionSettings
from common.telemetry import Telemetry

TODAY = datetime(2026, 11, 24, tzinfo=UTC)
KEPT = RetentionSettings.model_validate({"raw": "2d", "minute": "3d"})
LABELS = (("name", "it's"),)


def samples(day: datetime, *values: float) -> list[Sample]:
    return [Sample("m", LABELS, day + timedelta(hours=n), v) for n, v in enumerate(values)]


async def append(store: Store, *some: Sample) -> None:
    await store.append(*samples_batches(some))


def archived(folder: Path) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        pattern = str(folder / "samples" / "*" / "*.parquet")
        query = "SELECT day, metric, labels, ts, value FROM read_parquet($pattern) ORDER BY ts"
        return connection.execute(query, {"pattern": pattern}).fetchall()


async def test_old_days_are_archived_with_their_names_and_then_deleted(
    store: Store, tmp_path: Path
) -> None:
    old, fresh = TODAY - timedelta(days=3), TODAY - timedelta(hours=1)
    await append(store, *samples(old, 1, 2), *samples(fresh, 3))
    await roll_up(store)

    await retire(store, KEPT, tmp_path / "it's an archive", TODAY)

    assert archived(tmp_path / "it's an archive") == [
        (old.date(), "m", {"name": "it's"}, old + timedelta(hours=n), n + 1.0) for n in (0, 1)
    ]
    assert await store.fetch(dict, "SELECT value FROM samples") == [{"value": 3.0}]
    hours = "SELECT sum(count) AS n FROM samples_hour WHERE ts < $day"
    assert await store.fetch(dict, hours, {"day": fresh - timedelta(days=1)}) == [{"n": 2}]


async def test_a_day_that_is_archived_again_keeps_every_row_once(
    store: Store, tmp_path: Path
) -> None:
    await append(store, *samples(TODAY, 1, 2))
    await store.aside(lambda cursor: archive_day(cursor, "samples", TODAY, tmp_path))
    await append(store, *samples(TODAY + timedelta(hours=9), 3))

    await store.aside(lambda cursor: archive_day(cursor, "samples", TODAY, tmp_path))

    assert [row[-1] for row in archived(tmp_path)] == [1.0, 2.0, 3.0]


async def test_an_archive_that_cannot_be_written_keeps_the_rows(
    store: Store, tmp_path: Path
) -> None:
    await append(store, *samples(TODAY - timedelta(days=3), 1))
    await roll_up(store)
    (tmp_path / "archive").write_text("a file where the folder should be")

    with pytest.raises(StoreError, match="the rows stay in the store"):
        await retire(store, KEPT, tmp_path / "archive", TODAY)

    assert await store.fetch(dict, "SELECT value FROM samples") == [{"value": 1.0}]


async def test_a_store_without_an_archive_deletes_at_once(store: Store) -> None:
    await append(store, *samples(TODAY - timedelta(days=4), 1))
    await roll_up(store)

    await retire(store, KEPT, None, TODAY)

    left = "SELECT value FROM samples UNION ALL SELECT sum FROM samples_minute"
    assert await store.fetch(dict, left) == []


async def test_an_archive_may_be_anywhere(tmp_path: Path, telemetry: Telemetry) -> None:
    folder = tmp_path / "elsewhere"
    async with open_store(tmp_path / "store" / "m.duckdb", telemetry, archive=folder) as store:
        await append(store, *samples(TODAY - timedelta(days=3), 1))
        await roll_up(store)

        await retire(store, KEPT, folder, TODAY)

    assert [row[-1] for row in archived(folder)] == [1.0]
