"""What an event takes on disk, beside zstd Parquet of the same rows."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from collector.ingest.decode import decode
from collector.model.event import Sender
from collector.store.store import open_store
from common.settings import OtelSettings
from common.telemetry import start
from tests.bench.bulk_ingest import COLUMNS
from tests.bench.event_load import lines
from tests.bench.figure import NO_GOAL, Figure, figure
from tests.bench.sample_size import used_bytes
from tests.servers.nginx import Nginx

ROWS_IN_REQUEST = 50_000
REQUESTS = 10
ROWS = ROWS_IN_REQUEST * REQUESTS
PARQUET = f"""
COPY (
    SELECT now() AS received_at, 'bench' AS key_id, *
    FROM read_json($files, format = 'newline_delimited', columns = {COLUMNS})
) TO '$path' (FORMAT parquet, COMPRESSION zstd)
"""  # noqa: S608 - made of constants


def measure(folder: Path, nginx: Nginx) -> list[Figure]:
    bodies = [lines(number * ROWS_IN_REQUEST, ROWS_IN_REQUEST) for number in range(REQUESTS)]
    files = []
    for number, body in enumerate(bodies):
        file = folder / f"size-{number}.ndjson"
        file.write_bytes(body)
        files.append(str(file))
    parquet = folder / "events.parquet"
    with duckdb.connect() as connection:
        connection.execute(PARQUET.replace("$path", str(parquet)), {"files": files})
    return [
        figure(
            "an event on disk",
            asyncio.run(_ours(folder, bodies)) / ROWS,
            "bytes",
            beside=beside,
            reference=reference / ROWS,
            goal=NO_GOAL,
        )
        for beside, reference in (
            ("zstd Parquet", parquet.stat().st_size),
            ("its NDJSON", sum(map(len, bodies))),
        )
    ]


async def _ours(folder: Path, bodies: list[bytes]) -> int:
    telemetry = start(OtelSettings(), service="bench", version="0", environment="development")
    path = folder / "event-size.duckdb"
    path.unlink(missing_ok=True)
    async with open_store(path, telemetry) as store:
        empty = await used_bytes(store)
        for body in bodies:
            sender = Sender("bench", None, datetime.now(UTC))
            decoded = decode(body, "application/x-ndjson", sender)
            await store.append_events(decoded.events)
        return await used_bytes(store) - empty
