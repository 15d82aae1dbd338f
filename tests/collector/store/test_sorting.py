"""Putting a day in order changes where its rows are, and nothing else."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from collector.model.sample import Sample
from collector.store import sorting
from collector.store.batches import samples_batches
from collector.store.store import Store
from collector.store.upkeep import put_in_order

DAY = datetime(2026, 11, 20, tzinfo=UTC)
NOW = DAY + timedelta(days=2, hours=2)
IN_PLACE = "SELECT series_id, ts, value FROM samples ORDER BY rowid"
PLACES = """
SELECT count(*) AS places FROM (
    SELECT series_id, lag(series_id) OVER (ORDER BY rowid) AS before FROM samples
    WHERE ts < $until
) WHERE before IS DISTINCT FROM series_id
"""


def some_samples(count: int) -> list[Sample]:
    return [
        Sample("m", (("n", str(number % 7)),), DAY + timedelta(minutes=number), number)
        for number in range(count)
    ]


async def rows(store: Store) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in await store.fetch(dict, IN_PLACE)]


async def test_a_finished_day_is_in_order_and_the_current_one_is_left_alone(store: Store) -> None:
    await store.append(*samples_batches(some_samples(3000)))
    before = await rows(store)

    await put_in_order(store, NOW)

    after = await rows(store)
    assert sorted(after) == sorted(before)
    until = {"until": DAY + timedelta(days=2)}
    assert await store.fetch(dict, PLACES, until) == [{"places": 2 * 7}]
    today = [row for row in before if row[1] >= DAY + timedelta(days=2)]
    assert [row for row in after if row[1] >= DAY + timedelta(days=2)] == today


async def test_a_day_of_many_rows_is_sorted_in_parts(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorting, "ROWS_IN_PART", 300)
    await store.append(*samples_batches(some_samples(1440)))
    before = await rows(store)

    await put_in_order(store, NOW)

    assert sorted(await rows(store)) == sorted(before)
    assert await store.fetch(dict, PLACES, {"until": NOW}) == [{"places": 7}]


async def test_a_day_that_was_left_half_sorted_is_finished(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorting, "ROWS_IN_PART", 300)
    shuffled = some_samples(1440)
    random.Random(7).shuffle(shuffled)  # noqa: S311 - an order, not a secret
    await store.append(*samples_batches(shuffled))
    part = await store.aside(lambda cursor: sorting.next_day(cursor, NOW))
    assert part is not None
    await store.write(lambda connection: sorting.sort(connection, part))

    await put_in_order(store, NOW)

    assert sorted(row[2] for row in await rows(store)) == list(range(1440))
    assert await store.fetch(dict, PLACES, {"until": NOW}) == [{"places": 7}]
    assert await store.aside(lambda cursor: sorting.next_day(cursor, NOW)) is None
