"""The log is merged into the file in time, between commits, and never while that is held."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from collector.store import checkpoint
from collector.store.batches import samples_batches
from collector.store.store import Store
from common.background import background
from common.telemetry import Telemetry
from tests.collector.store.test_store import COUNT, Count, some_samples


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "LOOK_SECONDS", 0.01)


@asynccontextmanager
async def checkpointing(store: Store) -> AsyncIterator[None]:
    async with background(store.checkpoints.keep_checkpointing(), name="checkpoints"):
        yield


async def until_empty(store: Store) -> None:
    async with asyncio.timeout(30):
        while store.checkpoints.wal_bytes():
            await store.fetch(Count, COUNT)


def measured(telemetry: Telemetry) -> dict[str, float]:
    lines = generate_latest(telemetry.registry).decode().splitlines()
    pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in pairs}


async def test_a_long_log_is_merged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "MAX_WAL_BYTES", 100_000)

    async with checkpointing(store):
        await store.append(*samples_batches(some_samples(*range(20_000))))
        await until_empty(store)

    assert await store.fetch(Count, COUNT) == [Count(20_000)]


async def test_a_short_log_is_merged_after_a_while(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "MAX_SECONDS", 0.1)
    await store.append(*samples_batches(some_samples(1)))
    assert store.checkpoints.wal_bytes() > 0

    async with checkpointing(store):
        await until_empty(store)


async def test_nothing_else_merges_it(store: Store) -> None:
    """DuckDB's own checkpoints would run inside somebody's commit."""
    for number in range(30):
        await store.append(*samples_batches(some_samples(*range(number, number + 20_000))))

    assert store.checkpoints.wal_bytes() > 5_000_000


async def test_while_it_is_held_rows_are_written_and_the_file_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "MAX_WAL_BYTES", 1)

    async with checkpointing(store):
        async with store.checkpoints.held():
            await store.append(*samples_batches(some_samples(*range(10))))
            size = store.path.stat().st_size
            await asyncio.sleep(0.1)
            assert store.checkpoints.wal_bytes() > 0
            assert store.path.stat().st_size == size
        await until_empty(store)

    assert await store.fetch(Count, COUNT) == [Count(10)]


async def test_a_checkpoint_and_its_stall_are_measured(
    store: Store, telemetry: Telemetry, tmp_path: Path
) -> None:
    await store.append(*samples_batches(some_samples(1)))
    assert measured(telemetry)["collector_store_wal_bytes"] > 0

    await store.checkpoints.checkpoint()

    after = measured(telemetry)
    assert after["collector_store_wal_bytes"] == 0
    assert after["collector_checkpoint_duration_seconds_count"] == 1
    assert (
        0
        < after["collector_checkpoint_stall_seconds_sum"]
        <= after["collector_checkpoint_duration_seconds_sum"]
    )
