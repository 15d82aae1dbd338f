"""Queries of people have their place: beside ours and the writer's, never in their way."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import duckdb
import pytest

from collector.errors import (
    QueryError,
    QueryTimeoutError,
    ReaderBusyError,
    RefusedQueryError,
)
from collector.model.sample import Sample
from collector.store import reader
from collector.store.batches import samples_batches
from collector.store.reader import PEOPLE_THREADS, PEOPLE_WAITING, Query
from collector.store.result import Result, Row, Statement
from collector.store.store import Store
from common.errors import DhmonError
from tests.collector.conftest import NOON

ENDLESS = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range <> b.range"
# Each takes all memory there is in its own way: in one list, in a sort, in a hash table, in a join.
GREEDY = [
    "SELECT length(list(random())::VARCHAR) FROM range(1000000000)",
    "SELECT length(string_agg(uuid()::VARCHAR, '')) FROM range(1000000000)",
    "SELECT count(*) FROM (SELECT DISTINCT uuid() FROM range(1000000000))",
    "SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY random()) AS n FROM range(100000000))",
    "SELECT histogram(uuid()) FROM range(1000000000)",
]


def rows(result: Result) -> list[Row]:
    return [row for chunk in result.rows() for row in chunk]


async def ask(
    store: Store, sql: str, *, max_rows: int = 100, use: Callable[[Result], list[Row]] = rows
) -> list[Row]:
    with store.admitted():
        return await store.answer(Query(Statement(sql), max_rows), use)


@asynccontextmanager
async def asked(store: Store, *queries: str) -> AsyncIterator[list[asyncio.Task[list[Row]]]]:
    """The queries at work, cancelled at the end."""
    tasks = [asyncio.create_task(ask(store, sql)) for sql in queries]
    await asyncio.sleep(0)
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, DhmonError):
                await task


async def test_rows_come_back_up_to_the_limit(store: Store) -> None:
    seen: list[bool] = []

    def use(result: Result) -> list[Row]:
        found = rows(result)
        seen.append(result.truncated)
        return found

    for sql, count, truncated in (
        ("FROM range(2)", 2, False),
        ("FROM range(3)", 3, False),
        ("FROM range(4)", 3, True),
        ("FROM range(5000)", 3, True),
    ):
        assert len(await ask(store, sql, max_rows=3, use=use)) == count
        assert seen.pop() is truncated


async def test_a_query_that_takes_too_long_is_stopped(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "TIMEOUT_SECONDS", 0.2)

    with pytest.raises(QueryTimeoutError, match="longer than"):
        await ask(store, ENDLESS)

    monkeypatch.setattr(reader, "TIMEOUT_SECONDS", 10)
    assert await ask(store, "SELECT 1") == [(1,)]


async def test_a_query_whose_caller_has_gone_makes_room(store: Store) -> None:
    async with asked(store, *[ENDLESS] * PEOPLE_THREADS):
        waiting = asyncio.create_task(ask(store, "SELECT 1"))
        await asyncio.wait({waiting}, timeout=0.2)
        assert not waiting.done()

    assert await waiting == [(1,)]


async def test_only_so_many_are_admitted(store: Store) -> None:
    async with asked(store, *[ENDLESS] * (PEOPLE_THREADS + PEOPLE_WAITING)):
        with pytest.raises(ReaderBusyError, match="again in a second"):
            await ask(store, "SELECT 1")

    assert await ask(store, "SELECT 1") == [(1,)]


async def test_our_own_queries_do_not_wait_for_those_of_people(store: Store) -> None:
    async with asked(store, *[ENDLESS] * (PEOPLE_THREADS + 2)) as tasks:
        for _ in range(20):
            assert await store.fetch(dict, "SELECT 1 AS one") == [{"one": 1}]
        assert not any(task.done() for task in tasks)


@pytest.mark.parametrize("sql", GREEDY)
async def test_rows_are_kept_while_a_query_takes_all_memory(
    store: Store, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    monkeypatch.setattr(reader, "TIMEOUT_SECONDS", 3.0)
    kept = 0

    async with asked(store, *[sql] * PEOPLE_THREADS) as tasks:
        while not all(task.done() for task in tasks):
            samples = [
                Sample("n", (), NOON + timedelta(microseconds=kept + n), n) for n in range(500)
            ]
            await store.append(*samples_batches(samples))
            kept += len(samples)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} <= {QueryError, QueryTimeoutError, list}
    assert await store.fetch(dict, "SELECT count(*) AS n FROM samples") == [{"n": kept}]


async def test_a_sort_that_does_not_fit_spills(store: Store) -> None:
    sql = (
        "SELECT count(*) FROM (SELECT row_number() OVER (ORDER BY hash(range)) AS n"
        " FROM range(6000000)) WHERE n > 0"
    )

    assert await ask(store, sql) == [(6_000_000,)]


async def test_the_event_loop_goes_on_beside_heavy_queries(store: Store) -> None:
    heavy = (
        "SELECT count(*) FROM range(3000000) a, range(30) b WHERE hash(a.range, b.range) % 7 = 1"
    )
    stalls: list[float] = []

    async with asked(store, *[heavy] * PEOPLE_THREADS) as tasks:
        while not all(task.done() for task in tasks):
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            stalls.append(time.perf_counter() - before)
        await asyncio.gather(*tasks)

    assert sorted(stalls)[int(len(stalls) * 0.99)] < 0.1


async def test_a_plan_of_ours_cannot_write_either(store: Store) -> None:
    def plan(cursor: duckdb.DuckDBPyConnection) -> Statement:
        return Statement("INSERT INTO rollup_late VALUES (1, now())")

    with store.admitted(), pytest.raises(QueryError, match="read-only"):
        await store.answer(Query(plan, 10), rows)


async def test_what_the_sandbox_refuses_is_not_run(store: Store) -> None:
    with pytest.raises(RefusedQueryError):
        await ask(store, "DELETE FROM samples")


async def test_an_error_of_the_query_does_not_tell_where_the_store_is(store: Store) -> None:
    with pytest.raises(QueryError, match="Conversion Error") as failed:
        await ask(store, f"SELECT CAST('{store.path}' AS INTEGER)")

    assert str(store.path.parent) not in str(failed.value)


async def test_what_use_raises_comes_to_the_caller(store: Store) -> None:
    def use(result: Result) -> list[Row]:
        raise ValueError("of ours")

    with pytest.raises(ValueError, match="of ours"):
        await ask(store, "SELECT 1", use=use)

    assert await ask(store, "SELECT 1") == [(1,)]
