"""A thousand probes every ten seconds: how late do they begin, and is any left out?"""

import asyncio
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from tests.bench.figure import Figure, Goal, figure
from tests.bench.processes import await_metrics, collector, http_probes, scrape, write_config
from tests.servers.nginx import Nginx
from tests.servers.ports import free_ports

PROBES = 1000
INTERVAL_SECONDS = 10
MEASURED_SECONDS = 60
TIMER_SECONDS = 0.01
LAG = "collector_probe_schedule_lag_seconds"
LATE = Goal(50, of_ratio=False, text="p99 < 50 ms")
SKIPPED = Goal(0, of_ratio=False, text="none skipped")


def measure(folder: Path, nginx: Nginx) -> list[Figure]:
    [port] = free_ports(1)
    probes = http_probes(PROBES, nginx.url("/"), interval=f"{INTERVAL_SECONDS}s", timeout="5s")
    with collector(write_config(folder, port, probes)):
        await_metrics(port)
        time.sleep(INTERVAL_SECONDS)
        before, timer = scrape(port), _BareTimer()
        timer.start()
        time.sleep(MEASURED_SECONDS)
        after = scrape(port)
        timer.join()
    counts = {name: after[name] - before.get(name, 0.0) for name in after}
    missing = PROBES * MEASURED_SECONDS / INTERVAL_SECONDS - counts["collector_probes_total"]
    # A slot on the edge of the measured minute falls on either side of it.
    missing = max(0.0, missing - PROBES / INTERVAL_SECONDS)
    return [
        figure(
            "lateness p99 of 1,000 probes every 10 s",
            quantile(counts, 0.99) * 1000,
            "ms",
            beside="a bare asyncio timer",
            reference=timer.p99_seconds * 1000,
            goal=LATE,
        ),
        figure(
            "probes skipped in a minute",
            counts["collector_probes_skipped_total"] + missing,
            "probes",
            beside="probes run",
            reference=counts["collector_probes_total"],
            goal=SKIPPED,
        ),
    ]


def quantile(counts: Mapping[str, float], share: float) -> float:
    """The upper bound of the bucket in which the quantile lies: never better than the truth."""
    wanted = counts[f"{LAG}_count"] * share
    bounds = [name for name in counts if name.startswith(f"{LAG}_bucket{{")]
    seconds = sorted((float(name.split("{")[1].rstrip("}")), counts[name]) for name in bounds)
    return next(bound for bound, count in seconds if count >= wanted)


class _BareTimer(threading.Thread):
    """What this machine itself does to a timer, in the same minute: another process's noise."""

    p99_seconds: float

    def run(self) -> None:
        self.p99_seconds = asyncio.run(self._measure())

    async def _measure(self) -> float:
        loop = asyncio.get_running_loop()
        end = loop.time() + MEASURED_SECONDS - 1
        late: list[float] = []
        while loop.time() < end:
            due = loop.time() + TIMER_SECONDS
            await asyncio.sleep(TIMER_SECONDS)
            late.append(loop.time() - due)
        return sorted(late)[int(len(late) * 0.99)]
