"""A disk that fills up in the middle: an error with a remedy, nothing lost, and on it goes."""

from pathlib import Path

import pytest

from collector.errors import StoreError
from collector.model.event import Event, ReceivedEvents, Sender, received
from collector.store.store import Store, open_store
from common.settings import OtelSettings
from common.telemetry import Telemetry, start
from tests.collector.conftest import NOON
from tests.servers.small_disk import small_disk

IN_BATCH = 2000
COUNT = "SELECT count(*) AS rows, count(DISTINCT event_id) AS events FROM events"


def events(first: int) -> list[ReceivedEvents]:
    """Ids that do not compress."""
    ids = [f"{number * 2654435761 % 2**64:064x}" for number in range(first, first + IN_BATCH)]
    sent = [Event(event_id=id, type="click", ts=NOON) for id in ids]
    return [received(sent, Sender("k", None, NOON))]


async def fill(store: Store) -> int:
    """Append until there is no room; how many events were acknowledged."""
    acknowledged = 0
    with pytest.raises(StoreError, match="free space"):
        while True:
            await store.append_events(events(acknowledged))
            acknowledged += IN_BATCH
    return acknowledged


async def test_what_was_acknowledged_stays_and_writing_goes_on_when_there_is_room_again(
    tmp_path: Path, telemetry: Telemetry
) -> None:
    with small_disk(tmp_path, 16) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(4 << 20))
        async with open_store(disk / "m.duckdb", telemetry) as store:
            acknowledged = await fill(store)
            rows = {"rows": acknowledged, "events": acknowledged}
            assert await store.fetch(dict, COUNT) == [rows]

            ballast.unlink()
            await store.append_events(events(acknowledged))

            rows = {name: count + IN_BATCH for name, count in rows.items()}
            assert await store.fetch(dict, COUNT) == [rows]
        again = start(OtelSettings(), service="test", version="0", environment="development")
        async with open_store(disk / "m.duckdb", again) as store:
            assert await store.fetch(dict, COUNT) == [rows]


async def test_a_database_that_gave_up_is_opened_again(
    tmp_path: Path, telemetry: Telemetry
) -> None:
    """A checkpoint that finds the disk full ends DuckDB's database; the store outlives it."""
    with small_disk(tmp_path, 12) as disk:
        ballast = disk / "ballast"
        async with open_store(disk / "m.duckdb", telemetry) as store:
            for first in range(0, 10 * IN_BATCH, IN_BATCH):
                await store.append_events(events(first))
            with pytest.raises(OSError, match="No space left"), ballast.open("wb") as file:
                while True:
                    file.write(bytes(4096))
                    file.flush()

            with pytest.raises(StoreError):
                await store.write(lambda connection: connection.execute("CHECKPOINT").fetchall())

            assert await store.fetch(dict, COUNT) == [
                {"rows": 10 * IN_BATCH, "events": 10 * IN_BATCH}
            ]
            ballast.unlink()
            await store.append_events(events(10 * IN_BATCH))
            assert await store.fetch(dict, COUNT) == [
                {"rows": 11 * IN_BATCH, "events": 11 * IN_BATCH}
            ]


async def test_a_checkpoint_without_room_is_put_off(tmp_path: Path, telemetry: Telemetry) -> None:
    with small_disk(tmp_path, 16) as disk:
        ballast = disk / "ballast"
        async with open_store(disk / "m.duckdb", telemetry) as store:
            await store.append_events(events(0))
            ballast.write_bytes(bytes(13 << 20))

            with pytest.raises(StoreError, match="no room to merge"):
                await store.checkpoints.checkpoint()

            assert await store.exclusively(lambda database: database.openings) == 1
            ballast.unlink()
            await store.checkpoints.checkpoint()
            assert store.checkpoints.wal_bytes() == 0
