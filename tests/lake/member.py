"""One collector's part on a lake, as a process of its own: writes and looks after it, or reads.

`member write WRITER FIRST LAST` prints `ack N` when batch N is on disk; `member read` prints how
many events it sees, again and again, until its stdin is closed. LAKE holds the lake as JSON.
"""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime, timedelta

from collector.model.event import Event, ReceivedEvents, Sender, received
from collector.model.sample import Sample
from collector.store.batches import samples_batches
from collector.store.lake import Lake
from collector.store.lake_upkeep import maintain
from collector.store.store import Store, open_store
from collector.store.upkeep import roll_up
from common.settings import OtelSettings
from common.store_settings import LakeCatalogue, LakeSettings
from common.telemetry import start

ROWS = 250
BEGINNING = datetime.now(UTC) - timedelta(hours=3)
EVENTS = "SELECT count(*) AS count FROM events"


def place() -> Lake:
    told = json.loads(os.environ["LAKE"])
    return Lake(LakeCatalogue(told["catalogue"]), LakeSettings.model_validate(told["settings"]))


def samples(writer: str, batch: int) -> list[Sample]:
    numbers = range(batch * ROWS, (batch + 1) * ROWS)
    labels = (("writer", writer),)
    return [Sample("n", labels, BEGINNING + timedelta(seconds=n), float(n)) for n in numbers]


def events(writer: str, batch: int) -> list[ReceivedEvents]:
    at = datetime.now(UTC)
    ids = [f"{writer}-{number}" for number in range(batch * ROWS, (batch + 1) * ROWS)]
    sent = [Event(event_id=one, type="click", ts=at) for one in ids]
    return [received(sent, Sender("key", None, at))]


async def write(store: Store, writer: str, first: int, last: int) -> None:
    for batch in range(first, last):
        await asyncio.gather(
            store.append(*samples_batches(samples(writer, batch))),
            store.append_events(events(writer, batch)),
        )
        print("ack", batch, flush=True)  # noqa: T201 - this is how it speaks


async def look_after(store: Store, settings: LakeSettings) -> None:
    while True:
        await roll_up(store)
        await maintain(store, settings)
        await asyncio.sleep(settings.maintain_seconds)


async def read(store: Store) -> None:
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    while not ended.done():
        [row] = await store.fetch(dict, EVENTS)
        print(row["count"], flush=True)  # noqa: T201


async def main() -> None:
    lake = place()
    telemetry = start(OtelSettings(), service="t", version="0", environment="development")
    async with open_store(lake, telemetry) as store:
        if sys.argv[1] == "read":
            await read(store)
            return
        caring = asyncio.create_task(look_after(store, lake.settings))
        await write(store, sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        caring.cancel()


if __name__ == "__main__":
    asyncio.run(main())
