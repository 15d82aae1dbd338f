"""A store that is busy until it is killed: every acknowledged batch is told on stdout.

`python -m tests.collector.store.crash_child PATH FIRST`: events and samples are numbered from
FIRST; samples come in and out of order over three days; roll-ups, ordering and checkpoints go on
meanwhile.
"""

import asyncio
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from collector.model.event import Event, Sender, received
from collector.model.sample import Sample
from collector.store.batches import samples_batches
from collector.store.store import Store, open_store
from collector.store.upkeep import put_in_order, roll_up
from common.settings import OtelSettings
from common.telemetry import start

DAYS_SECONDS = 3 * 86_400
IN_BATCH = 40


async def append_samples(store: Store, numbers: range) -> None:
    now = datetime.now(UTC)
    samples = [
        Sample(
            "crash_seconds",
            (("n", str(number % 5)),),
            now - timedelta(seconds=random.choice((0, 30, 4000, DAYS_SECONDS)) * random.random()),  # noqa: S311 - a spread, not a secret
            number,
        )
        for number in numbers
    ]
    await store.append(*samples_batches(samples))
    print(f"samples {numbers.start} {numbers.stop}", flush=True)  # noqa: T201 - read by the parent


async def append_events(store: Store, numbers: range) -> None:
    now = datetime.now(UTC)
    events = [Event(event_id=str(number), type="click", ts=now) for number in numbers]
    await store.append_events([received(events, Sender("k", None, now))])
    print(f"events {numbers.start} {numbers.stop}", flush=True)  # noqa: T201 - read by the parent


async def keep_tidy(store: Store) -> None:
    while True:
        await roll_up(store)
        await put_in_order(store, datetime.now(UTC))
        await store.write(lambda connection: connection.execute("CHECKPOINT").fetchall())


async def main(path: Path, first: int) -> None:
    telemetry = start(OtelSettings(), service="crash", version="0", environment="development")
    async with open_store(path, telemetry) as store, asyncio.TaskGroup() as group:
        group.create_task(keep_tidy(store))
        for number in range(first, first + 100_000_000, 2 * IN_BATCH):
            await asyncio.gather(
                append_samples(store, range(number, number + IN_BATCH)),
                append_events(store, range(number + IN_BATCH, number + 2 * IN_BATCH)),
            )


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
