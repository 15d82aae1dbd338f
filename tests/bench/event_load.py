"""A collector that takes events, and the load that is sent to it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.bench.processes import await_metrics, collector, environment, write_config
from tests.servers.ports import free_ports

DHMON = [sys.executable, "-c", "from common.cli import main; main()"]
# What a shop's pages send, give or take: 260 bytes.
EVENT = (
    '{{"event_id":"{id}","type":"click","ts":"2026-11-24T12:00:{second:02}.250Z","network":"awin",'
    '"program":"p{program}","click_id":"c{id}","user_id":"u{user}","country":"NL",'
    '"device":"mobile","page":"/deal/{page}","sub_ids":{{"s1":"home-{program}"}}}}'
)


@dataclass(frozen=True, slots=True)
class EventCollector:
    process: psutil.Process
    port: int
    key: str
    data: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/events"


@contextmanager
def event_collector(folder: Path) -> Iterator[EventCollector]:
    """`dhmon collector` with an empty store and a key that has no quota."""
    [port] = free_ports(1)
    config = write_config(folder, port, "")
    with collector(config) as process:
        await_metrics(port)
        made = subprocess.run(
            [
                *DHMON, "key", "create", "--name", "bench", "--scope", "ingest",
                "--tier", "unlimited", "--json", "--config", config,
            ],
            capture_output=True,
            check=True,
            env=environment(),
        )  # fmt: skip
        key = json.loads(made.stdout)["key"]
        yield EventCollector(process, port, key, folder / f"data-{port}" / "m.duckdb")


def lines(first: int, count: int) -> bytes:
    """NDJSON of events numbered from `first`."""
    rows = (
        EVENT.format(
            id=f"e{number:011}", second=number % 60, program=number % 50, user=number % 997,
            page=number % 5000,
        )
        for number in range(first, first + count)
    )  # fmt: skip
    return ("\n".join(rows) + "\n").encode()
