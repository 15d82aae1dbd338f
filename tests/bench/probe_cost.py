"""CPU per HTTP probe: the whole collector beside blackbox_exporter, same target, same rate."""

import asyncio
import time
from pathlib import Path

from aiohttp import ClientSession

from tests.bench.figure import Figure, Goal, figure
from tests.bench.processes import (
    await_metrics,
    collector,
    cpu_seconds,
    http_probes,
    running,
    scrape,
    write_config,
)
from tests.servers.nginx import Nginx
from tests.servers.ports import free_ports
from tests.servers.process import program

PROBES_PER_SECOND = 100
WARM_UP_SECONDS = 8
MEASURED_SECONDS = 20
GOAL = Goal(0.6, of_ratio=True, text="≤ 0.6 of the reference")
BLACKBOX = "modules: {http_2xx: {prober: http, http: {preferred_ip_protocol: ip4}}}\n"


def measure(folder: Path, nginx: Nginx) -> list[Figure]:
    ours, theirs = _ours(folder, nginx), _blackbox(folder, nginx)
    return [
        figure(
            "CPU per HTTP probe",
            ours * 1000,
            "ms",
            beside="blackbox_exporter",
            reference=theirs * 1000,
            goal=GOAL,
        )
    ]


def _ours(folder: Path, nginx: Nginx) -> float:
    [port] = free_ports(1)
    probes = http_probes(PROBES_PER_SECOND, nginx.url("/"), interval="1s", timeout="900ms")
    with collector(write_config(folder, port, probes)) as process:
        await_metrics(port)
        time.sleep(WARM_UP_SECONDS)
        cpu, done = cpu_seconds(process), scrape(port)["collector_probes_total"]
        time.sleep(MEASURED_SECONDS)
        after = scrape(port)
        cpu = cpu_seconds(process) - cpu
    if after["collector_probe_failures_total"]:
        raise RuntimeError("probes failed: what was measured is not what was meant")
    return cpu / (after["collector_probes_total"] - done)


def _blackbox(folder: Path, nginx: Nginx) -> float:
    [port] = free_ports(1)
    config = folder / "blackbox.yml"
    config.write_text(BLACKBOX, encoding="utf-8")
    command = [
        program("prometheus-blackbox-exporter"),
        f"--config.file={config}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(command, log=folder / "blackbox.log") as process:
        await_metrics(port)
        address = f"http://127.0.0.1:{port}/probe?module=http_2xx&target={nginx.url('/')}"
        asyncio.run(_ask(address, 100))
        cpu = cpu_seconds(process)
        asked = PROBES_PER_SECOND * MEASURED_SECONDS
        asyncio.run(_ask(address, asked))
        return (cpu_seconds(process) - cpu) / asked


async def _ask(address: str, count: int) -> None:
    """At the rate of our own probes, whether or not the one before has answered."""

    async def ask(number: int) -> None:
        await asyncio.sleep(number / PROBES_PER_SECOND)
        async with session.get(address) as response:
            if "probe_success 1" not in await response.text():
                raise RuntimeError("blackbox_exporter does not reach nginx")

    async with ClientSession() as session, asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(ask(number))
