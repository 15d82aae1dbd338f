"""What a dashboard asks, over a hundred million raw samples and their roll-ups."""

import asyncio
import random
import statistics
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
from aiohttp import ClientSession

from collector.store.db import open_database
from collector.store.migrate import known_migrations, migrate
from collector.store.rollups import roll
from tests.bench.figure import Figure, Goal, figure
from tests.bench.processes import await_metrics, collector, highest_memory, write_config
from tests.servers.nginx import Nginx
from tests.servers.ports import free_ports

SERIES = 1240
DAYS = 14
SCRAPES_A_DAY = 5760
SAMPLES = SERIES * DAYS * SCRAPES_A_DAY
ROUNDS = 25
MEBIBYTE = 1 << 20
QUICK = Goal(200, of_ratio=False, text="p95 < 200 ms")
SMALL = Goal(1024, of_ratio=False, text="< 1 GB")

NAMES = """
INSERT INTO series
SELECT
    hash(n),
    CASE WHEN n % 2 = 0 THEN 'shop_request_duration_seconds' ELSE 'shop_cart_items' END,
    MAP {'host': 'h' || n // 2 % 20, 'shard': CAST(n // 40 AS VARCHAR)}
FROM range($series) AS r(n)
"""
# A day in the order in which finished days are kept.
DAY = """
INSERT INTO samples
SELECT
    hash(n),
    $start + to_seconds(15 * scrape),
    CASE WHEN n % 2 = 0 THEN round(0.05 + random() / 5, 4) ELSE floor(random() * 20) END
FROM range($series) AS a(n), range($scrapes) AS b(scrape)
ORDER BY ALL
"""
BEGIN = "UPDATE rollup_state SET rolled_until = $start WHERE level <> 'raw'"
SORTED = "UPDATE sorted_days SET until = $until"


def measure(folder: Path, nginx: Nginx) -> list[Figure]:
    [port] = free_ports(1)
    config = write_config(folder, port, "")
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("[log]", '[collector.retention]\nraw = "30d"\n[log]'), "utf-8")
    # Once: the measurement may go on past midnight.
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    _build(folder / f"data-{port}" / "m.duckdb", end)
    with collector(config) as process:
        await_metrics(port)
        ping, taken, rest, peak = asyncio.run(_ask(port, process.pid, end))
    return [
        figure(
            f"dashboard queries over {SAMPLES / 1e6:.0f} million samples, p95",
            sorted(taken)[int(len(taken) * 0.95)] * 1000,
            "ms",
            beside="an empty request",
            reference=ping * 1000,
            goal=QUICK,
        ),
        figure(
            "resident memory, highest during those queries",
            peak / MEBIBYTE,
            "MiB",
            beside="before them",
            reference=rest / MEBIBYTE,
            goal=SMALL,
        ),
    ]


def _build(path: Path, end: datetime) -> None:
    with closing(open_database(path)) as connection:
        migrate(connection, path, known_migrations())
        connection.execute(NAMES, {"series": SERIES})
        connection.execute(BEGIN, {"start": end - timedelta(days=DAYS)})
        for day in range(DAYS, 0, -1):
            _day(connection, end - timedelta(days=day))
        connection.execute(SORTED, {"until": end})


def _day(connection: duckdb.DuckDBPyConnection, start: datetime) -> None:
    connection.execute(DAY, {"series": SERIES, "scrapes": SCRAPES_A_DAY, "start": start})
    until = start + timedelta(days=1)
    while roll(connection, min(until + timedelta(seconds=10), datetime.now(UTC))):
        pass
    connection.execute("CHECKPOINT")


async def _ask(port: int, pid: int, end: datetime) -> tuple[float, list[float], int, int]:
    """Seconds of an empty request and of each query; highest memory before and after them."""
    rest = highest_memory(pid)
    async with ClientSession(f"http://127.0.0.1:{port}") as session:
        pings = [await _timed(session, "/healthz", {}) for _ in range(ROUNDS)]
        taken = [
            await _timed(session, "/api/v1/samples", question)
            for _ in range(ROUNDS)
            for question in _panels(end)
        ]
    return statistics.median(pings), taken, rest, highest_memory(pid)


def _panels(end: datetime) -> list[dict[str, str]]:
    """A look at a host, another place and time in each round."""
    anywhere = random.Random()  # noqa: S311 - places and times, no secrets
    host = f"h{anywhere.randrange(20)}"
    shard = str(anywhere.randrange(SERIES // 40))
    until = end - timedelta(seconds=anywhere.randrange(86_400))
    latency = {"metric": "shop_request_duration_seconds", "limit": "10000"}
    items = {"metric": "shop_cart_items", "limit": "10000"}

    def panel(question: dict[str, str], **more: str) -> dict[str, str]:
        span = timedelta(hours=float(more.pop("hours")))
        times = {"from": (until - span).isoformat(), "to": until.isoformat()}
        labels = {f"label.{name}": more.pop(name) for name in ("host", "shard") if name in more}
        return {**question, **times, **labels, **more}

    return [
        panel(latency, hours="1", step="raw", host=host, shard=shard),
        panel(latency, hours="6", step="1m", agg="avg,max", host=host),
        panel(latency, hours="24", step="5m", agg="p95", host=host, shard=shard),
        panel(items, hours="24", step="5m", agg="avg", host=host),
        panel(latency, hours="168", step="1h", agg="avg,p99", host=host, shard=shard),
        panel(items, hours="312", step="1h", agg="max", host=host),
        panel(items, hours="312", step="1d", agg="avg"),
    ]


async def _timed(session: ClientSession, path: str, question: dict[str, str]) -> float:
    started = time.perf_counter()
    async with session.get(path, params=question) as answer:
        body = await answer.read()
    if answer.status != 200 or (question and b'"rows":[]' in body):
        raise RuntimeError(f"{question}: {answer.status} {body[:300]!r}")
    return time.perf_counter() - started
