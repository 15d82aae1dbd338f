"""A result has consequences: rows, state, incidents."""

from datetime import timedelta
from pathlib import Path

import pytest

from collector.errors import StoreError
from collector.recorder import Recorder
from collector.signals.meters import CollectorMeters
from collector.snapshot import Snapshot
from collector.store.batches import Batch
from collector.store.incidents import incident_page, open_incidents
from collector.store.store import Store
from common.telemetry import Telemetry
from tests.collector.conftest import NOON, make_probe, make_result

ROWS = "SELECT count(*) AS count FROM probe_results"


@pytest.fixture
def meters(telemetry: Telemetry) -> CollectorMeters:
    return CollectorMeters(telemetry.registry, "0")


@pytest.fixture
async def recorder(store: Store, meters: CollectorMeters) -> Recorder:
    recorder = Recorder(store, Snapshot(), meters)
    await recorder.resume([make_probe()])
    return recorder


async def test_results_are_written_together(store: Store, recorder: Recorder) -> None:
    for minute in range(5):
        await recorder.record(make_result(started_at=NOON + timedelta(minutes=minute)))
    await recorder.flush()

    assert await store.fetch(dict, ROWS) == [{"count": 5}]


async def test_an_outage_is_one_incident_with_its_cause_and_duration(
    store: Store, recorder: Recorder
) -> None:
    for minute, verdict in enumerate(("up", "down", "down", "up", "up")):
        at = NOON + timedelta(minutes=minute)
        await recorder.record(make_result(verdict, started_at=at))  # type: ignore[arg-type]

    rows = await incident_page(store, state="all", limit=10, before=None)

    assert [(row.name, row.cause, row.detail) for row in rows] == [
        ("shop", "status", "expected status 200, got 503")
    ]
    assert rows[0].opened_at == NOON + timedelta(minutes=1)
    assert rows[0].closed_at == NOON + timedelta(minutes=3)


async def test_an_open_incident_is_taken_up_by_the_next_process(
    store: Store, meters: CollectorMeters
) -> None:
    first = Recorder(store, Snapshot(), meters)
    await first.resume([make_probe()])
    await first.record(make_result("down"))

    second = Recorder(store, Snapshot(), meters)
    await second.resume([make_probe()])
    await second.record(make_result("up", started_at=NOON + timedelta(minutes=1)))

    rows = await incident_page(store, state="all", limit=10, before=None)
    assert [row.closed_at for row in rows] == [NOON + timedelta(minutes=1)]


async def test_an_incident_of_a_target_that_is_no_longer_watched_is_closed(
    store: Store, recorder: Recorder
) -> None:
    await recorder.record(make_result("down"))

    await recorder.watch([])

    assert await open_incidents(store) == []


async def test_results_outlive_a_store_that_refuses_them(
    store: Store, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk for a while: nothing is lost, and the incident opens once it can be written."""
    append = store.append

    async def refuse(*batches: Batch) -> None:
        raise StoreError("monitor.duckdb", why="no space left on device", remedy="make space")

    monkeypatch.setattr(store, "append", refuse)
    await recorder.record(make_result("down"))
    await recorder.flush()
    assert await open_incidents(store) == []

    monkeypatch.setattr(store, "append", append)
    await recorder.record(make_result("down", started_at=NOON + timedelta(minutes=1)))
    await recorder.flush()

    assert await store.fetch(dict, ROWS) == [{"count": 2}]
    assert len(await open_incidents(store)) == 1


async def test_a_store_that_refuses_for_too_long_costs_the_oldest_results_and_says_so(
    store: Store,
    recorder: Recorder,
    telemetry: Telemetry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(*batches: Batch) -> None:
        raise StoreError("monitor.duckdb", why="no space left on device", remedy="make space")

    monkeypatch.setattr("collector.recorder.MAX_HELD_RESULTS", 3)
    monkeypatch.setattr(store, "append", refuse)
    for _ in range(5):
        await recorder.record(make_result("up"))
    await recorder.flush()

    lost = telemetry.registry.get_sample_value("collector_probe_results_lost_total")
    assert lost == 2


def test_a_changed_probe_forgets_what_it_saw(tmp_path: Path) -> None:
    snapshot = Snapshot()
    snapshot.watch([make_probe(interval="30s")])
    snapshot.results["shop"] = make_result(probe=make_probe(interval="30s"))

    snapshot.watch([make_probe(interval="60s")])

    assert snapshot.results == {}
    assert snapshot.state(make_probe(interval="60s")) == "pending"
