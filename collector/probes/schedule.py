"""When probes run: on the monotonic clock, spread over their interval, without drift."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from hashlib import blake2b

from common.probe_settings import Probe

# Everybody's first look comes soon after the start; from then on each keeps to its own slot.
FIRST_PASS_SECONDS = 5.0

RunProbe = Callable[[Probe, float], Awaitable[None]]


def slot(name: str, interval_seconds: float) -> float:
    """Where in its interval a probe runs, in seconds: a hash spreads them evenly."""
    digest = blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64 * interval_seconds


class Schedule:
    """One task for each probe, so that a slow one delays no other.

    `run` is called with the probe and its lag in seconds; `on_skipped` when a run took so long that
    later ones fell into it.
    """

    def __init__(
        self, group: asyncio.TaskGroup, run: RunProbe, on_skipped: Callable[[Probe, int], None]
    ) -> None:
        self._group = group
        self._run = run
        self._on_skipped = on_skipped
        self._origin = asyncio.get_running_loop().time()
        self._tasks: dict[str, tuple[Probe, asyncio.Task[None]]] = {}

    def replace(self, probes: Iterable[Probe]) -> None:
        """Watch exactly these from now on; a probe that did not change keeps its slot."""
        wanted = {probe.name: probe for probe in probes}
        for name, (probe, task) in list(self._tasks.items()):
            if wanted.get(name) != probe:
                task.cancel()
                del self._tasks[name]
        for name, probe in wanted.items():
            if name not in self._tasks:
                task = self._group.create_task(self._keep_running(probe), name=f"probe {name}")
                self._tasks[name] = (probe, task)

    def stop(self) -> None:
        self.replace(())

    async def _keep_running(self, probe: Probe) -> None:
        loop = asyncio.get_running_loop()
        interval = probe.interval_seconds
        offset = slot(probe.name, interval)
        first = loop.time() + offset * min(1.0, FIRST_PASS_SECONDS / interval)
        await self._run_at(probe, first)
        due = next_slot(loop.time(), self._origin + offset, interval)
        while True:
            await self._run_at(probe, due)
            # A timer may fire a hair early: its own slot must not come round again.
            following = next_slot(max(loop.time(), due), due, interval)
            skipped = round((following - due) / interval) - 1
            if skipped:
                self._on_skipped(probe, skipped)
            due = following

    async def _run_at(self, probe: Probe, due: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(due - loop.time())
        await self._run(probe, max(0.0, loop.time() - due))


def next_slot(now: float, origin: float, interval: float) -> float:
    """The first of `origin`, `origin` + `interval`, + 2 `interval` … that is after `now`."""
    if now < origin:
        return origin
    return origin + (int((now - origin) / interval) + 1) * interval
