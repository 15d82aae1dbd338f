"""The figures of docs/scale.md: `python -m tests.lake.measure`, in .venv and in .venv-lake.

Each place gets the same rows through the same store: commits of one event one after another, then
commits of 10,000 samples, by one process and by three at once, then a query over all of them.
"""

import asyncio
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psutil
from arro3.core import Array, DataType, Field, Schema, Table

from collector.model.event import Event, ReceivedEvents, Sender, received
from collector.store.batches import MICROSECONDS, Batch
from collector.store.lake import Lake, LakeDatabase
from collector.store.store import Store, open_store
from common.store_settings import LakeCatalogue, LakeSettings
from tests.lake.conftest import on_disk, on_s3, telemetry
from tests.servers.postgres import running_postgres
from tests.servers.s3 import running_s3

ROWS = 10_000
COMMITS = 60
SINGLES = 150
QUERY = "SELECT series_id, avg(value) AS value FROM samples WHERE ts >= $start GROUP BY ALL"
Place = Path | Lake


def samples(commit: int) -> Batch:
    start = int(datetime.now(UTC).timestamp() * 1e6)
    fields = [
        Field("series_id", DataType.uint64()),
        Field("ts", MICROSECONDS),
        Field("value", DataType.float64()),
    ]
    numbers = range(commit * ROWS, (commit + 1) * ROWS)
    columns = [
        Array([n % 1000 for n in numbers], DataType.uint64()),
        Array([start + n * 30_000 for n in numbers], DataType.int64()).cast(MICROSECONDS),
        Array([n * 0.1 for n in numbers], DataType.float64()),
    ]
    return Batch("samples", Table.from_arrays(columns, schema=Schema(fields)))


def event(number: int, writer: str) -> ReceivedEvents:
    at = datetime.now(UTC)
    sent = Event(event_id=f"{writer}{number}", type="click", ts=at)
    return received([sent], Sender("k", None, at))


async def timed(count: int, work: Callable[[int], Awaitable[object]]) -> list[float]:
    taken = []
    for number in range(count):
        began = time.perf_counter()
        await work(number)
        taken.append(1000 * (time.perf_counter() - began))
    return taken


def told(name: str, taken: list[float], rows: int) -> dict[str, object]:
    quantiles = statistics.quantiles(taken, n=100)
    return {
        "what": name,
        "p50_ms": round(statistics.median(taken), 1),
        "p99_ms": round(quantiles[98], 1),
        "rows_per_second": round(rows * len(taken) / (sum(taken) / 1000)),
    }


async def measure(place: Place, writer: str) -> list[dict[str, object]]:
    async with open_store(place, telemetry()) as store:
        singles = await timed(SINGLES, lambda n: store.append_events([event(n, writer)]))
        batches = [samples(commit) for commit in range(COMMITS)]
        bulk = await timed(COMMITS, lambda n: store.append(batches[n]))
        queries = await timed(20, lambda _: _query(store))
        resident = psutil.Process().memory_info().rss >> 20
    return [
        told("one event a commit", singles, 1),
        told(f"{ROWS} samples a commit", bulk, ROWS),
        told("query", queries, 0) | {"resident_mib": resident},
    ]


async def _query(store: Store) -> list[dict[str, Any]]:
    since = datetime.now(UTC) - timedelta(hours=1)
    return await store.fetch(dict, QUERY, {"start": since})


@contextmanager
def places(folder: Path) -> Iterator[dict[str, Place]]:
    found: dict[str, Place] = {f"file, DuckDB {duckdb.__version__}": folder / "m.duckdb"}
    with ExitStack() as stack:
        if importlib.util.find_spec("duckdb_extension_ducklake"):
            os.environ |= {"LAKE_KEY_ID": "any", "LAKE_SECRET": "thing"}
            postgres = stack.enter_context(running_postgres(folder, durable=True))
            s3 = stack.enter_context(running_s3(folder))
            found |= {
                "lake, disk": on_disk(postgres, folder),
                "lake, S3 emulator": on_s3(postgres, s3),
            }
        yield found


def together(place: Lake) -> list[dict[str, object]]:
    """Three processes at once."""
    LakeDatabase(place).close()
    settings: dict[str, object] = {"data_path": place.settings.data_path}
    if place.settings.s3 is not None:
        keys = {"key_id": "env:LAKE_KEY_ID", "secret": "env:LAKE_SECRET"}
        settings["s3"] = {"endpoint": place.settings.s3.endpoint, **keys}
    environment = os.environ | {
        "LAKE": json.dumps({"catalogue": place.catalogue.address, "settings": settings})
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.lake.measure", writer],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for writer in "abc"
    ]
    return [line for process in processes for line in json.loads(process.communicate()[0])]


def main() -> None:
    if len(sys.argv) > 1:
        lake = json.loads(os.environ["LAKE"])
        place = Lake(
            LakeCatalogue(lake["catalogue"]), LakeSettings.model_validate(lake["settings"])
        )
        print(json.dumps(asyncio.run(measure(place, sys.argv[1]))))  # noqa: T201
        return
    with tempfile.TemporaryDirectory() as folder, places(Path(folder)) as found:
        for name, each in found.items():
            for line in asyncio.run(measure(each, "x")):
                print(name, line, flush=True)  # noqa: T201
            for line in together(each) if isinstance(each, Lake) else ():
                print(name, "three at once", line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
