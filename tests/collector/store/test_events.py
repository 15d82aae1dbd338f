"""An event is kept once, however often it is sent, and its sender is told which one that was."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.errors import StoreBusyError
from collector.model.event import Event, ReceivedEvents, Sender, received
from collector.store import queue
from collector.store.store import Store, open_store
from common.settings import OtelSettings
from common.telemetry import Telemetry, start
from tests.collector.conftest import NOON

COUNT = "SELECT count(*) AS rows, count(DISTINCT (key_id, event_id)) AS events FROM events"


def event(event_id: str, *, key: str = "k1", ts: datetime = NOON, **more: object) -> ReceivedEvents:
    known: dict[str, object] = {"type": "click", "user_id": "ann"}
    sent = Event(event_id=event_id, ts=ts, **(known | more))  # type: ignore[arg-type]
    return received([sent], Sender(key, "bob", NOON))


async def counted(store: Store) -> dict[str, int]:
    [row] = await store.fetch(dict, COUNT)
    return row


async def test_an_event_comes_back_exact(store: Store) -> None:
    sale = event(
        "e1",
        type="conversion",
        ts=NOON + timedelta(microseconds=1),
        sub_ids={"s1": 'a"b\\', "ü": ""},
        sale_amount=Decimal("123456789012.123456"),
        commission=Decimal("-0.000001"),
        currency="EUR",
        txid="t1",
        status="pending",
    )

    assert await store.append_events([sale]) == frozenset()

    [row] = await store.fetch(dict, "SELECT * EXCLUDE (event_key) FROM events")
    assert row["ts"] == NOON + timedelta(microseconds=1)
    assert row["sub_ids"] == {"s1": 'a"b\\', "ü": ""}
    assert (row["sale_amount"], row["commission"]) == (
        Decimal("123456789012.123456"),
        Decimal("-0.000001"),
    )
    assert (row["network"], row["country"], row["user_id"]) == (None, None, "ann")


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1)
AMOUNTS = st.decimals(-(10**12) + 1, 10**12 - 1, places=6) | st.sampled_from(
    [Decimal("1E+3"), Decimal("0E-10"), Decimal("-0"), Decimal("1.10000000")]
)
SENT = {
    name: st.none() | TEXTS
    for name in (
        "user_id", "network", "program", "click_id", "country", "device", "page", "txid", "currency"
    )
} | {
    "event_id": TEXTS,
    "type": st.sampled_from(["click", "conversion"]),
    "ts": st.datetimes(
        datetime(2000, 1, 2),  # noqa: DTZ001 - the zone is drawn
        datetime(2200, 1, 1),  # noqa: DTZ001
        timezones=st.integers(-720, 840).map(lambda m: timezone(timedelta(minutes=m))),
    ),
    "sub_ids": st.none() | st.dictionaries(TEXTS, st.just("") | TEXTS, max_size=4),
    "sale_amount": st.none() | AMOUNTS,
    "commission": st.none() | AMOUNTS,
    "status": st.sampled_from([None, "pending", "unknown"]),
}  # fmt: skip


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sent=st.lists(st.fixed_dictionaries(SENT), max_size=5, unique_by=lambda one: one["event_id"]),
    cut=st.integers(0, 5),
    owner=st.none() | st.just("bob"),
)
async def test_what_is_kept_is_what_was_sent(
    store: Store, sent: list[dict[str, Any]], cut: int, owner: str | None
) -> None:
    await store.write(lambda connection: connection.execute("DELETE FROM events").fetchall())
    sender = Sender("k1", owner, NOON + timedelta(microseconds=3))
    events = [Event(**one) for one in sent]

    parts = [part for part in (events[:cut], events[cut:]) if part]
    await store.append_events([received(part, sender) for part in parts])

    kept = await store.fetch(dict, "SELECT * EXCLUDE (event_key) FROM events ORDER BY rowid")
    of_sender = {"key_id": "k1", "received_at": sender.received_at}
    assert kept == [one | of_sender | {"user_id": one["user_id"] or owner} for one in sent]


async def test_a_replay_is_a_duplicate_whatever_else_it_says(store: Store) -> None:
    await store.append_events([event("e1"), event("e2")])

    again = [event("e3"), event("e2", ts=NOON + timedelta(days=400)), event("e1", user_id="bob")]

    assert await store.append_events(again) == {1, 2}
    assert await counted(store) == {"rows": 3, "events": 3}


async def test_the_same_id_under_another_key_is_another_event(store: Store) -> None:
    assert await store.append_events([event("e1", key="k1"), event("e1", key="k2")]) == frozenset()


async def test_the_first_of_several_in_one_batch_is_kept(store: Store) -> None:
    batch = [event("e1", user_id="first"), event("e2"), event("e1", user_id="second")]

    assert await store.append_events(batch) == {2}
    rows = await store.fetch(dict, "SELECT user_id FROM events WHERE event_id = 'e1'")
    assert rows == [{"user_id": "first"}]


async def test_callers_of_one_commit_each_hear_of_their_own_duplicates(store: Store) -> None:
    await store.append_events([event("known")])

    outcomes = await asyncio.gather(
        *(
            store.append_events([event(f"new-{n}"), event("known"), event(f"other-{n}")])
            for n in range(50)
        )
    )

    assert outcomes == [frozenset({1})] * 50
    assert await counted(store) == {"rows": 101, "events": 101}


async def test_a_duplicate_is_one_across_restarts(tmp_path: Path, telemetry: Telemetry) -> None:
    path = tmp_path / "m.duckdb"
    async with open_store(path, telemetry) as store:
        await store.append_events([event("e1")])
    again = start(OtelSettings(), service="test", version="0", environment="development")

    async with open_store(path, again) as store:
        assert await store.append_events([event("e1"), event("e2")]) == {0}


async def test_ids_that_share_a_hash_are_told_apart(store: Store) -> None:
    await store.append_events([event("e1")])
    await store.write(
        lambda connection: connection.execute(
            "UPDATE events SET event_key = hash('k1', 'e2')"
        ).fetchall()
    )

    assert await store.append_events([event("e2"), event("e3")]) == frozenset()


async def test_another_version_of_the_hash_is_noticed_and_the_keys_renewed(
    tmp_path: Path, telemetry: Telemetry
) -> None:
    path = tmp_path / "m.duckdb"
    async with open_store(path, telemetry) as store:
        await store.append_events([event("e1"), event("e2")])
        await store.write(
            lambda connection: connection.execute("UPDATE events SET event_key = 7").fetchall()
        )
    again = start(OtelSettings(), service="test", version="0", environment="development")

    async with open_store(path, again) as store:
        assert await store.append_events([event("e2"), event("e3")]) == {0}


async def test_a_queue_that_is_full_of_bytes_refuses(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "MAX_QUEUED_BYTES", 1000)

    with pytest.raises(StoreBusyError, match="again in a second"):
        await store.append_events([event("e1", page="x" * 1000)])

    assert await store.append_events([event("e1", page="x" * 500)]) == frozenset()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    batches=st.lists(
        st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), max_size=8), max_size=6
    )
)
async def test_every_event_is_kept_once_for_any_order_of_sending(
    store: Store, batches: list[list[tuple[str, int]]]
) -> None:
    await store.write(lambda connection: connection.execute("DELETE FROM events").fetchall())
    known: set[tuple[str, str]] = set()
    for batch in batches:
        expected: set[int] = set()
        for place, (key, number) in enumerate(batch):
            if (key, str(number)) in known:
                expected.add(place)
            known.add((key, str(number)))

        sent = [event(str(number), key=key) for key, number in batch]
        assert await store.append_events(sent) == expected
    assert await counted(store) == {"rows": len(known), "events": len(known)}


async def test_clicks_and_earnings_by_day_are_what_events_say(store: Store) -> None:
    day = datetime(2026, 11, 23, 10, tzinfo=UTC)

    def sale(event_id: str, txid: str, amount: str, **more: object) -> ReceivedEvents:
        told: dict[str, object] = {
            "type": "conversion", "txid": txid, "currency": "EUR", "status": "pending",
            "sale_amount": Decimal(amount), "commission": Decimal(amount) / 10, "ts": day,
        }  # fmt: skip
        return event(event_id, **(told | more))  # type: ignore[arg-type]

    await store.append_events(
        [
            event("c1", ts=day),
            event("c2", ts=day),
            event("c3", ts=day, user_id="bob"),
            sale("s1", "t1", "10"),
            sale("s2", "t1", "12", ts=day + timedelta(hours=1), status="approved"),
            sale("s3", "t2", "99", status="declined"),
            sale("s4", "t3", "7", currency="USD"),
        ]
    )

    rows = await store.fetch(dict, "SELECT * FROM affiliate_performance ORDER BY user_id, currency")

    shown = [
        (r["user_id"], r["clicks"], r["conversions"], r["revenue"], r["commission"], r["currency"])
        for r in rows
    ]
    assert shown == [
        ("ann", 2, 1, Decimal("12"), Decimal("1.2"), "EUR"),
        ("ann", 0, 1, Decimal("7"), Decimal("0.7"), "USD"),
        ("bob", 1, 0, None, None, None),
    ]
