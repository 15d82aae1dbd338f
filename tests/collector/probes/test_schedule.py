"""When probes run."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.probes import schedule
from collector.probes.schedule import Schedule, next_slot, slot
from common.probe_settings import Probe
from tests.collector.conftest import make_probe


def test_slots_are_spread_evenly_over_the_interval() -> None:
    """A thousand names leave no tenth of the interval with less than half of its share."""
    slots = [slot(f"probe-{number}", 10.0) for number in range(1000)]

    tenths = [sum(int(value) == tenth for value in slots) for tenth in range(10)]

    assert min(tenths) > 50
    assert max(tenths) < 150


def test_a_name_keeps_its_slot() -> None:
    assert slot("shop", 30.0) == slot("shop", 30.0)
    assert slot("shop", 30.0) != slot("shop2", 30.0)


@given(
    now=st.floats(0, 1e6),
    origin=st.floats(0, 1e6),
    interval=st.floats(1, 86_400),
)
def test_the_next_slot_is_the_first_after_now(now: float, origin: float, interval: float) -> None:
    found = next_slot(now, origin, interval)

    assert found > now or found == origin
    assert found - now <= interval * (1 + 1e-6) or found == origin


class Recording:
    """Notes every run; `blocked` names never end by themselves."""

    def __init__(self, blocked: frozenset[str] = frozenset()) -> None:
        self.runs: list[tuple[str, float]] = []
        self.blocked = blocked
        self.changed = asyncio.Condition()

    async def run(self, probe: Probe, lag_seconds: float) -> None:
        async with self.changed:
            self.runs.append((probe.name, asyncio.get_running_loop().time() - lag_seconds))
            self.changed.notify_all()
        if probe.name in self.blocked:
            await asyncio.Event().wait()

    async def times(self, name: str, count: int) -> list[float]:
        """The scheduled times of the first `count` runs of `name`."""
        async with self.changed:
            await self.changed.wait_for(lambda: sum(seen == name for seen, _ in self.runs) >= count)
        return [due for seen, due in self.runs if seen == name][:count]


def ignore(probe: Probe, count: int) -> None:
    """Skips do not matter here."""


@pytest.fixture(autouse=True)
def quick_first_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "FIRST_PASS_SECONDS", 0.01)


async def test_runs_keep_to_their_slots_without_drift() -> None:
    recording = Recording()

    async with asyncio.TaskGroup() as group:
        watching = Schedule(group, recording.run, ignore)
        watching.replace([make_probe("shop", interval="1s")])
        _, second, third, fourth = await recording.times("shop", 4)
        watching.stop()

    # The scheduled times, so that a slow machine changes nothing.
    assert third - second == pytest.approx(round(third - second), abs=0.01)
    assert fourth - third == pytest.approx(round(fourth - third), abs=0.01)


async def test_a_probe_that_hangs_delays_no_other() -> None:
    recording = Recording(blocked=frozenset({"hanging"}))

    async with asyncio.TaskGroup() as group:
        watching = Schedule(group, recording.run, ignore)
        watching.replace([make_probe("hanging", interval="1s"), make_probe("shop", interval="1s")])
        await recording.times("shop", 3)
        watching.stop()

    assert sum(name == "hanging" for name, _ in recording.runs) == 1


async def test_a_run_that_outlives_its_interval_skips_slots_and_says_so() -> None:
    skipped: list[int] = []
    release = asyncio.Event()
    runs = 0

    async def run(probe: Probe, lag_seconds: float) -> None:
        nonlocal runs
        runs += 1
        if runs == 2:
            await asyncio.sleep(1.2)
        if runs == 3:
            release.set()

    async with asyncio.TaskGroup() as group:
        watching = Schedule(group, run, lambda probe, count: skipped.append(count))
        watching.replace([make_probe("shop", interval="1s")])
        await release.wait()
        watching.stop()

    assert skipped[0] >= 1


async def test_a_reload_ends_what_is_gone_and_starts_what_is_new() -> None:
    recording = Recording()

    async with asyncio.TaskGroup() as group:
        watching = Schedule(group, recording.run, ignore)
        watching.replace([make_probe("old", interval="1s"), make_probe("kept", interval="1s")])
        await recording.times("old", 1)
        watching.replace([make_probe("kept", interval="1s"), make_probe("new", interval="1s")])
        before = sum(name == "old" for name, _ in recording.runs)
        await recording.times("new", 2)
        await recording.times("kept", 3)
        watching.stop()

    assert sum(name == "old" for name, _ in recording.runs) == before
