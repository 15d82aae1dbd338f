"""`dhmon verify` finds what is wrong, and nothing where nothing is."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from collector.errors import StoreError
from collector.model.event import Event, ReceivedEvents, Sender, received
from collector.model.report import Checked, Progress, Report, Verified
from collector.model.sample import Sample
from collector.store.batches import samples_batches
from collector.store.db import open_database, transaction
from collector.store.insert import insert_batch, insert_events
from collector.store.migrate import known_migrations, migrate
from collector.store.retention import LEVELS, Due, delete
from collector.store.rollups import roll
from collector.store.verify import verify

START = datetime(2026, 11, 20, tzinfo=UTC)
NOW = START + timedelta(days=2, hours=1, minutes=30)
RAW = next(level for level in LEVELS if level.name == "raw")


def samples() -> list[Sample]:
    """Two series over two days and a bit; one of them a latency, with two values at once."""
    at = [START + timedelta(minutes=7 * number) for number in range(420)]
    latencies = [Sample("probe_duration_seconds", (), t, 0.1 + n % 5) for n, t in enumerate(at)]
    ties = [Sample("probe_duration_seconds", (), t, 3.0) for t in at[::10]]
    loads = [Sample("load", (("cpu", "0"),), t, n * 0.1) for n, t in enumerate(at)]
    return latencies + ties + loads


def event(event_id: str) -> ReceivedEvents:
    sent = Event(event_id=event_id, ts=START, type="click", user_id="ann")
    return received([sent], Sender("k", "bob", START))


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A store with two days of samples, rolled up, and some events."""
    path = tmp_path / "monitor.duckdb"
    opened = open_database(path)
    migrate(opened, path, known_migrations())
    opened.execute(
        "UPDATE rollup_state SET rolled_until = $start WHERE level <> 'raw'", {"start": START}
    )
    add(opened, samples())
    with transaction(opened):
        insert_events(opened, [event(f"e{number}") for number in range(50)])
    roll_all(opened)
    yield opened
    opened.close()


def add(connection: duckdb.DuckDBPyConnection, rows: list[Sample]) -> None:
    with transaction(connection):
        for batch in samples_batches(rows):
            insert_batch(connection, batch)


def roll_all(connection: duckdb.DuckDBPyConnection) -> None:
    while roll(connection, NOW):
        pass


def wrong(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """The checks that found differences, with how many."""
    said: list[Report] = []
    verify(connection, said.append)
    found = {one.check: one.differences for one in said if isinstance(one, Checked)}
    last = said[-1]
    assert isinstance(last, Verified)
    assert last == Verified(checks=len(found), differences=sum(found.values()))
    return {check: differences for check, differences in found.items() if differences}


def test_a_sound_store_is_sound(connection: duckdb.DuckDBPyConnection) -> None:
    said: list[Report] = []

    verify(connection, said.append)

    examined = {one.check: one.examined for one in said if isinstance(one, Checked)}
    assert wrong(connection) == {}
    assert examined["samples_minute equals samples"] > 800
    assert examined["samples_hour equals samples_minute"] > 90
    assert examined["each event is there once"] == 50
    assert {one.step for one in said if isinstance(one, Progress)} >= {"comparing samples_hour"}


def test_late_rows_that_wait_are_no_difference(connection: duckdb.DuckDBPyConnection) -> None:
    add(connection, [Sample("load", (("cpu", "0"),), START + timedelta(minutes=7), 99.0)])
    assert wrong(connection) == {}

    roll_all(connection)
    assert wrong(connection) == {}


def test_what_retention_deleted_is_no_difference(connection: duckdb.DuckDBPyConnection) -> None:
    assert delete(connection, Due(RAW, START + timedelta(days=1)))

    assert wrong(connection) == {}
    connection.execute("UPDATE samples_minute SET sum = sum + 1 WHERE ts = $ts", {"ts": START})
    # Nothing tells the minute's own truth any more, but the hours were made of it.
    assert set(wrong(connection)) == {"samples_hour equals samples_minute"}


DAMAGES = {
    "UPDATE samples_minute SET count = count + 1 WHERE ts = $at": (
        "samples_minute equals samples",
        "samples_hour equals samples_minute",
    ),
    "UPDATE samples_minute SET last = 77 WHERE ts = $at AND max < 77": (
        "samples_minute equals samples",
    ),
    "UPDATE samples_minute SET buckets = map {1::SMALLINT: 1::UBIGINT} "
    "WHERE ts = $at AND buckets IS NOT NULL": (
        "samples_minute equals samples",
        "samples_hour equals samples_minute",
    ),
    "DELETE FROM samples_minute WHERE ts = $at": (
        "samples_minute equals samples",
        "samples_hour equals samples_minute",
    ),
    "INSERT INTO samples_minute SELECT * FROM samples_minute WHERE ts = $at": (
        "samples_minute equals samples",
        "samples_hour equals samples_minute",
    ),
    "DELETE FROM samples WHERE ts = $at": ("samples_minute equals samples",),
    "UPDATE samples_hour SET min = min - 1 WHERE ts = $at": ("samples_hour equals samples_minute",),
    "DELETE FROM samples_hour WHERE ts = $at": ("samples_hour equals samples_minute",),
    "INSERT INTO samples_hour SELECT * REPLACE (ts + INTERVAL 30 DAY AS ts) FROM samples_hour "
    "WHERE ts = $at": ("samples_hour equals samples_minute",),
    "INSERT INTO events SELECT * FROM events WHERE ts = $at LIMIT 1": ("each event is there once",),
    "UPDATE events SET event_key = event_key + 1 WHERE ts = $at AND event_id = 'e1'": (
        "each event has its own key",
    ),
    "DELETE FROM series WHERE metric = 'load' AND $at IS NOT NULL": (
        "series of samples exist",
        "series of samples_minute exist",
        "series of samples_hour exist",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_difference_is_found(connection: duckdb.DuckDBPyConnection, damage: str) -> None:
    connection.execute(damage, {"at": START})

    assert set(DAMAGES[damage]) <= set(wrong(connection))
    assert set(wrong(connection)) <= {*DAMAGES[damage], "samples_minute equals samples"}


def test_a_damaged_block_is_found(tmp_path: Path) -> None:
    path = tmp_path / "monitor.duckdb"
    connection = open_database(path)
    migrate(connection, path, known_migrations())
    connection.execute(
        "INSERT INTO samples SELECT i, make_timestamptz(i), random() FROM range(500000) t(i)"
    )
    connection.close()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    connection = open_database(path)
    said: list[Report] = []
    verify(connection, said.append)
    connection.close()

    [damaged] = [one for one in said if isinstance(one, Checked) and one.detail]
    assert damaged.check == "samples can be read whole"
    assert "checksum" in damaged.detail


def test_a_store_of_another_version_is_not_compared(tmp_path: Path) -> None:
    path = tmp_path / "monitor.duckdb"
    connection = open_database(path)
    migrate(connection, path, known_migrations()[:1])

    with pytest.raises(StoreError, match=r"its schema version is 1, .* start the collector"):
        verify(connection, lambda report: None)
    connection.close()
