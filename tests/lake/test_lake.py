"""What holds for one collector on a file holds for several on a lake."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from collector.errors import StoreBusyError, StoreError
from collector.model.event import Event, ReceivedEvents, Sender, received
from collector.model.sample import Sample
from collector.store.batches import samples_batches
from collector.store.lake import Lake, LakeDatabase, with_parameter
from collector.store.lake_upkeep import maintain
from collector.store.migrate import known_migrations
from collector.store.rollups import read_state, roll
from collector.store.store import Store, open_store
from collector.store.upkeep import retire, roll_up
from common.store_settings import LakeCatalogue, RetentionSettings
from tests.lake.conftest import telemetry
from tests.servers.postgres import Postgres

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
COUNT = "SELECT count(*) AS count FROM {table}"
DIFFERENCES = """
WITH raw AS (
    SELECT series_id, date_trunc('{unit}', ts) AS ts, count(*) AS count, sum(value) AS sum
    FROM samples GROUP BY ALL
)
SELECT count(*) AS count
FROM raw FULL JOIN {table} AS rolled USING (series_id, ts)
WHERE (raw.count IS DISTINCT FROM rolled.count OR abs(raw.sum - rolled.sum) > 1e-6)
"""


@dataclass(frozen=True)
class Count:
    count: int


def sample(value: float, *, at: datetime = NOON, room: str = "attic") -> Sample:
    return Sample("temperature", (("room", room),), at, value)


def event(event_id: str, *, ts: datetime = NOON, page: str | None = None) -> ReceivedEvents:
    sent = Event(event_id=event_id, type="click", ts=ts, page=page)
    return received([sent], Sender("k", None, NOON))


async def count(store: Store, table: str) -> int:
    [row] = await store.fetch(Count, COUNT.format(table=table))
    return row.count


async def test_what_one_collector_wrote_the_other_reads_at_once(store: Store, other: Store) -> None:
    for number in range(5):
        await store.append(*samples_batches([sample(number)]))

        assert await count(other, "samples") == number + 1


async def test_a_series_that_two_collectors_bring_at_once_is_there_once(
    store: Store, other: Store
) -> None:
    rooms = [[sample(1, room=f"{number}-{i}") for i in range(50)] for number in range(10)]

    await asyncio.gather(
        *(collector.append(*samples_batches(s)) for s in rooms for collector in (store, other))
    )

    assert await count(store, "series") == 500
    assert await count(store, "samples JOIN series USING (series_id)") == 1000


async def test_an_event_is_kept_once_whichever_collector_it_is_sent_to(
    store: Store, other: Store
) -> None:
    events = [event(str(number)) for number in range(300)]

    first, second = await asyncio.gather(
        store.append_events(events), other.append_events(list(reversed(events)))
    )
    another_day = NOON + timedelta(days=3)
    again = await other.append_events([event("7", ts=another_day, page="x"), event("new")])
    twice = await store.append_events([event("twice"), event("twice", ts=another_day)])

    assert len(first) + len(second) == 300
    assert again == {0}
    assert twice == {1}
    assert await count(store, "events") == 302
    assert await count(other, "(SELECT DISTINCT event_id FROM events)") == 302


async def test_an_event_whose_commit_failed_is_taken_when_it_comes_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number is in PostgreSQL by then."""
    monkeypatch.setattr("collector.store.lake_events.INSERT_EVENTS", "SELECT no_such_column")
    with pytest.raises(StoreError):
        await store.append_events([event("1")])
    monkeypatch.undo()

    assert await store.append_events([event("1")]) == frozenset()
    assert await store.append_events([event("1")]) == {0}
    assert await count(store, "events") == 1


async def test_rows_are_parted_by_day_and_other_days_are_not_read(store: Store) -> None:
    rows = [sample(n, at=NOON + timedelta(hours=n)) for n in range(24 * 10)]
    await store.append(*samples_batches(rows * 2))

    [plan] = await store.aside(
        lambda cursor: cursor.execute(
            "EXPLAIN ANALYZE SELECT sum(value) FROM samples WHERE ts >= $start AND ts < $until",
            {"start": NOON + timedelta(hours=13), "until": NOON + timedelta(hours=15)},
        ).fetchall()
    )
    files = await store.aside(
        lambda cursor: cursor.execute(
            "SELECT data_file FROM ducklake_list_files('lake', 'samples')"
        ).fetchall()
    )

    assert len(files) == 11
    assert sum("year=2026/month=11/day=24" in file for [file] in files) == 1
    assert "Total Files Read: 1" in plan[1]


async def test_roll_ups_equal_raw_whoever_rolls(store: Store, other: Store) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    rooms = ["attic", "cellar"]
    for collector in (store, other, store):
        rows = [
            sample(n, at=now - timedelta(seconds=10 * n), room=rooms[n % 2]) for n in range(7, 800)
        ]
        await collector.append(*samples_batches(rows))
        await asyncio.gather(roll_up(store), roll_up(other))

    minutes = await store.fetch(Count, DIFFERENCES.format(unit="minute", table="samples_minute"))
    assert minutes == [Count(0)]
    hours = await store.fetch(
        Count,
        DIFFERENCES.format(unit="hour", table="samples_hour")
        + f"AND ts < '{now.replace(minute=0)}'",
    )
    assert hours == [Count(0)]
    assert await count(store, "rollup_late") == 0


async def test_a_step_that_another_has_taken_is_not_taken_again(store: Store, other: Store) -> None:
    now = datetime.now(UTC) + timedelta(hours=3)
    await store.append(*samples_batches([sample(n, at=now - timedelta(hours=1)) for n in range(9)]))

    while await store.write(lambda cursor: roll(cursor, now)):
        pass
    took_a_step = await other.write(lambda cursor: roll(cursor, now))

    assert not took_a_step
    assert (await other.aside(read_state)).minute_until > now - timedelta(minutes=2)
    assert await count(other, "samples_minute") == 1


async def test_one_collector_maintains_the_lake_at_a_time(
    store: Store, other: Store, lake: Lake
) -> None:
    await store.append(*samples_batches([sample(n) for n in range(50)]))

    outcomes = await asyncio.gather(maintain(store, lake.settings), maintain(other, lake.settings))

    [done] = [outcome for outcome in outcomes if outcome is not None]
    assert done["flush"] >= 50
    assert await count(other, "samples") == 50
    assert max(store.size_bytes(), other.size_bytes()) > 0


async def test_days_that_had_their_time_go_with_their_files(store: Store, other: Store) -> None:
    now = datetime.now(UTC)
    rows = [sample(n, at=now - timedelta(days=n)) for n in range(30)]
    await store.append(*samples_batches(rows * 20))
    await roll_up(store)

    await asyncio.gather(*(retire(s, RetentionSettings(), None, now) for s in (store, other)))

    assert await count(store, "(SELECT DISTINCT date_trunc('day', ts) FROM samples)") == 15
    # The minute that is running has not been rolled up yet.
    assert await count(other, "(SELECT DISTINCT date_trunc('day', ts) FROM samples_minute)") == 29


async def test_a_commit_that_fails_leaves_nothing_and_the_next_goes_through(store: Store) -> None:
    with pytest.raises(StoreError):
        await store.write(lambda cursor: cursor.execute("INSERT INTO no_such_table VALUES (1)"))

    await store.append(*samples_batches([sample(1)]))
    assert await count(store, "samples") == 1


async def test_a_restart_of_postgres_is_an_error_and_then_it_goes_on(
    store: Store, postgres: Postgres
) -> None:
    await store.append(*samples_batches([sample(1)]))
    postgres.run(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND datname LIKE 'lake%'",
    )

    for number in range(2, 12):
        try:
            await store.append(*samples_batches([sample(number)]))
        except StoreError:
            continue
        break

    values = await store.fetch(dict, "SELECT value FROM samples ORDER BY value")
    assert values == [{"value": 1.0}, {"value": float(number)}]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY (SELECT 1) TO '/tmp/out.csv'",
        "ATTACH '/tmp/other.duckdb' AS other",
        "ATTACH 'dbname=postgres' AS other (TYPE postgres)",
        "SET threads = 1",
        "LOAD '/tmp/other.duckdb_extension'",
    ],
)
async def test_no_query_gets_out_of_the_lake(store: Store, sql: str) -> None:
    with pytest.raises(StoreError, match=r"disabled|locked|not allowed"):
        await store.aside(lambda cursor: cursor.execute(sql).fetchall())

    await store.append(*samples_batches([sample(1)]))
    assert await count(store, "samples") == 1


async def test_every_table_and_view_of_a_file_is_in_a_lake(store: Store, tmp_path: Path) -> None:
    columns = (
        "SELECT table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = current_database() AND NOT internal ORDER BY ALL"
    )
    in_lake = await store.aside(lambda cursor: cursor.execute(columns).fetchall())
    async with open_store(tmp_path / "m.duckdb", telemetry()) as file:
        in_file = await file.aside(lambda cursor: cursor.execute(columns).fetchall())

    assert set(in_lake) - set(in_file) == {("lake_upkeep", "began_at", "TIMESTAMP WITH TIME ZONE")}
    assert set(in_file) <= set(in_lake)


async def test_collectors_that_start_at_once_make_one_lake(lake: Lake) -> None:
    async def start() -> list[dict[str, int]]:
        async with open_store(lake, telemetry()) as store:
            return await store.fetch(dict, "SELECT version FROM migration ORDER BY version")

    found = await asyncio.gather(*(start() for _ in range(4)))

    versions = [{"version": migration.version} for migration in known_migrations()]
    assert found == [versions] * 4


async def test_a_collector_that_hangs_with_the_lock_is_not_waited_for_for_ever(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.store.lake.LOCK_SECONDS", 1)
    hanging = LakeDatabase(lake)
    async with open_store(lake, telemetry()) as store:
        with hanging.writing():
            with pytest.raises(StoreBusyError, match="has been writing for more than 1 s"):
                await store.append(*samples_batches([sample(1)]))
            assert await count(store, "samples") == 0

        await store.append(*samples_batches([sample(2)]))
        assert await count(store, "samples") == 1
    hanging.close()


def test_a_database_that_is_not_there_is_named_without_its_password(lake: Lake) -> None:
    address = f"{lake.catalogue.address} password=hunter2".replace("dbname=lake", "dbname=no")

    with pytest.raises(StoreError, match="PostgreSQL does not answer") as caught:
        LakeDatabase(Lake(LakeCatalogue(address), lake.settings))

    assert "does not exist" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_another_data_path_than_the_others_have_is_refused(lake: Lake, tmp_path: Path) -> None:
    LakeDatabase(lake).close()
    elsewhere = lake.settings.model_copy(update={"data_path": f"{tmp_path}/elsewhere/"})

    with pytest.raises(StoreError, match="DATA_PATH"):
        LakeDatabase(Lake(lake.catalogue, elsewhere))


def test_without_the_extensions_it_is_said_what_to_install(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("collector.store.lake.EXTENSIONS", ("no_such_extension",))

    with pytest.raises(StoreError, match="scripts/setup lake"):
        LakeDatabase(lake)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("host=h", "host=h password='it\\'s'"),
        ("postgresql://h/db", "postgresql://h/db?password=it%27s"),
        ("postgresql://h/db?a=b", "postgresql://h/db?a=b&password=it%27s"),
    ],
)
def test_a_password_is_added_in_the_words_of_the_address(address: str, expected: str) -> None:
    assert with_parameter(address, "password", "it's") == expected


def test_the_lock_is_given_back_when_its_holder_dies(lake: Lake) -> None:
    first, second = LakeDatabase(lake), LakeDatabase(lake)
    with pytest.raises(duckdb.Error), first.writing() as cursor:
        cursor.execute("SELECT no_such_column")

    with second.writing() as cursor:
        assert cursor.execute("SELECT 1").fetchall() == [(1,)]
    first.close()
    second.close()
