"""Resident memory with a hundred probes after two minutes, beside the imports alone."""

import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.bench.figure import Figure, Goal, figure
from tests.bench.processes import (
    await_metrics,
    collector,
    environment,
    http_probes,
    scrape,
    write_config,
)
from tests.bench.start import IMPORT, third_party_modules
from tests.servers.nginx import Nginx
from tests.servers.ports import free_ports

SETTLED_SECONDS = 120
SCRAPE_SECONDS = 15
MEGABYTE = 1_000_000
GOAL = Goal(150, of_ratio=False, text="< 150 MB")


def measure(folder: Path, nginx: Nginx) -> list[Figure]:
    [port] = free_ports(1)
    probes = http_probes(100, nginx.url("/"), interval="10s", timeout="5s")
    with collector(write_config(folder, port, probes)) as process:
        await_metrics(port)
        for _ in range(SETTLED_SECONDS // SCRAPE_SECONDS):
            time.sleep(SCRAPE_SECONDS)
            scrape(port)
        resident = process.memory_info().rss
    return [
        figure(
            "resident memory, 100 probes, 2 minutes",
            resident / MEGABYTE,
            "MB",
            beside="the same imports in a bare interpreter",
            reference=_imports_alone() / MEGABYTE,
            goal=GOAL,
        )
    ]


def _imports_alone() -> int:
    program = IMPORT.format(names=third_party_modules()) + "print('ready', flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    )
    with process:
        if process.stdout is None or process.stdin is None:
            raise RuntimeError("no pipes")
        process.stdout.readline()
        resident: int = psutil.Process(process.pid).memory_info().rss
        process.stdin.write(b"\n")
    return resident
