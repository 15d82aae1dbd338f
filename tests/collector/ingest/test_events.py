"""`POST /v1/events` with a real store and a real Valkey behind it."""

import asyncio
import gzip
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from collector import keys
from collector.app import Reload, create_app
from collector.errors import StoreBusyError, StoreError
from collector.ingest import body
from collector.store import queue
from common import quota
from common.api_keys import Scope, create_key, revoke_key
from common.service_key import service_key
from common.settings import Settings, load
from common.telemetry import Telemetry
from tests.collector.ingest.rows import CLICK, SALE, line
from tests.servers.redis import linked
from tests.servers.web import running_valkey

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

URL = "/v1/events"
NDJSON = {"Content-Type": "application/x-ndjson"}
Client = TestClient[web.Request, web.Application]


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_valkey(tmp_path_factory.mktemp("ingest")) as url:
        yield url


def make_settings(folder: Path, valkey: str, more: str = "") -> Settings:
    path = folder / "monitor.toml"
    path.write_text(
        f'[collector]\ndata = "{folder}/data/m.duckdb"\n{more}\n[redis]\nurl = "{valkey}"\n'
    )
    return load(path)


@asynccontextmanager
async def serving(settings: Settings, telemetry: Telemetry) -> AsyncIterator[Client]:
    app = create_app(settings, telemetry, version="0", reload=Reload())
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.fixture
async def client(tmp_path: Path, valkey: str, telemetry: Telemetry) -> AsyncIterator[Client]:
    async with serving(make_settings(tmp_path, valkey), telemetry) as client:
        yield client


async def bearer(
    valkey: str, *scopes: Scope, user: str | None = None, **more: Any
) -> dict[str, str]:
    async with linked(valkey) as link:
        key, _ = await create_key(
            link.client, name="test", scopes=scopes or ("ingest",), user=user, **more
        )
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
async def ours(valkey: str) -> dict[str, str]:
    return await bearer(valkey, user="ann")


async def rows(client: Client, sql: str = "SELECT * FROM events") -> list[dict[str, Any]]:
    assert client.app is not None
    return await client.app[keys.STORE].fetch(dict, sql)


async def problem(answer: ClientResponse) -> tuple[int, str]:
    assert answer.content_type == "application/problem+json"
    return answer.status, (await answer.json())["detail"]


async def test_good_rows_are_kept_and_the_others_told(client: Client, ours: dict[str, str]) -> None:
    sent = b"\n".join([line(CLICK), b'{"event_id": 1}', line(SALE | {"event_id": "e2"})])

    answer = await client.post(URL, data=sent, headers=ours | NDJSON)

    assert answer.status == 200
    assert await answer.json() == {
        "accepted": 2,
        "duplicates": 0,
        "rejected": [{"index": 1, "error": "Expected `str`, got `int` - at `$.event_id`"}],
    }
    click, sale = await rows(client, "SELECT * FROM events ORDER BY event_id")
    assert (click["type"], click["user_id"], click["txid"]) == ("click", "ann", None)
    assert (str(sale["sale_amount"]), sale["currency"]) == ("19.900000", "EUR")


async def test_a_replay_counts_as_duplicate(client: Client, ours: dict[str, str]) -> None:
    for expected in ((1, 1), (0, 2)):
        answer = await client.post(URL, json=[CLICK, CLICK], headers=ours)
        counts = await answer.json()
        assert (counts["accepted"], counts["duplicates"]) == expected

    assert len(await rows(client)) == 1


async def test_the_same_event_under_another_key_is_another(
    client: Client, valkey: str, ours: dict[str, str]
) -> None:
    theirs = await bearer(valkey)

    for headers in (ours, theirs):
        assert (await (await client.post(URL, json=[CLICK], headers=headers)).json())["accepted"]

    assert {row["user_id"] for row in await rows(client)} == {"ann", None}


@pytest.mark.parametrize("encoding", ["identity", "gzip", "x-gzip", "zstd", "GZIP"])
async def test_bodies_may_be_compressed(
    client: Client, ours: dict[str, str], encoding: str
) -> None:
    plain = b"\n".join(line(CLICK | {"event_id": f"e{number}"}) for number in range(3_000))
    compressed = {"identity": plain, "zstd": zstd.compress(plain)}

    headers = ours | NDJSON | {"Content-Encoding": encoding}
    sent = compressed.get(encoding, gzip.compress(plain))
    answer = await client.post(URL, data=sent, headers=headers)

    assert (await answer.json())["accepted"] == 3_000
    assert [row["n"] for row in await rows(client, "SELECT count(*) AS n FROM events")] == [3_000]


async def test_a_body_may_come_in_parts(client: Client, ours: dict[str, str]) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(5):
            yield line(CLICK | {"event_id": f"e{number}"}) + b"\n"
            await asyncio.sleep(0)

    answer = await client.post(URL, data=parts(), headers=ours | NDJSON)

    assert (await answer.json())["accepted"] == 5


async def test_a_body_beyond_aiohttps_own_limit_is_taken(
    client: Client, ours: dict[str, str]
) -> None:
    sent = b"\n".join(line(CLICK | {"event_id": f"e{number}"}) for number in range(40_000))
    assert len(sent) > 2 << 20

    answer = await client.post(URL, data=BytesIO(sent), headers=ours | NDJSON)

    assert (await answer.json())["accepted"] == 40_000


@pytest.mark.parametrize(
    ("sent", "headers", "status", "detail"),
    [
        (b"", {}, 400, "the request's body: is empty"),
        (b"[", {"Content-Type": "application/json"}, 400, "Input data was truncated"),
        (b"x", {"Content-Encoding": "gzip"}, 400, "cannot be decompressed"),
        (gzip.compress(b"{}")[:-3], {"Content-Encoding": "gzip"}, 400, "it ends too early"),
        (b"x", {"Content-Encoding": "br"}, 415, "compress with gzip or zstd"),
        (b"x", {"Content-Encoding": "gzip, gzip"}, 415, "compress with gzip or zstd"),
        (gzip.compress(b"{}\n" * 100_001), {"Content-Encoding": "gzip"}, 413, "in parts"),
        (gzip.compress(bytes(65 << 20)), {"Content-Encoding": "gzip"}, 413, "decompressed"),
    ],
    ids=range(8),
)
async def test_a_body_that_cannot_be_read_is_refused(
    client: Client,
    ours: dict[str, str],
    sent: bytes,
    headers: dict[str, str],
    status: int,
    detail: str,
) -> None:
    answer = await client.post(URL, data=sent, headers=ours | headers)

    assert (await problem(answer))[0] == status
    assert detail in (await problem(answer))[1]
    assert await rows(client) == []
    assert (await client.post(URL, json=[CLICK], headers=ours)).status == 200


async def test_a_body_that_is_too_long_as_it_is_sent_is_refused(
    client: Client, ours: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "MAX_BODY_BYTES", 100_000)

    answer = await client.post(URL, data=b" " * 200_000, headers=ours)

    assert answer.status == 413


async def test_a_body_that_does_not_come_is_refused(
    client: Client, ours: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "READ_SECONDS", 0.05)

    async def never_ends() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(1)

    answer = await client.post(URL, data=never_ends(), headers=ours)

    assert (await problem(answer))[0] == 408


async def test_more_bytes_at_once_than_memory_has_are_refused(
    tmp_path: Path, valkey: str, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body.Budget.__init__, "__defaults__", (100_000,))
    ours = await bearer(valkey)
    async with serving(make_settings(tmp_path, valkey), telemetry) as client:
        answer = await client.post(URL, data=b" " * 200_000, headers=ours)

        assert (await problem(answer))[0] == 503
        assert answer.headers["Retry-After"] == "1"
        assert telemetry.registry.get_sample_value("collector_ingest_body_bytes") == 0
        assert (await client.post(URL, json=[CLICK], headers=ours)).status == 200


async def test_a_full_queue_is_told_and_nothing_acknowledged(
    client: Client, ours: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "MAX_QUEUED_ROWS", 1)

    answer = await client.post(URL, json=[CLICK, SALE], headers=ours)

    assert (await problem(answer))[0] == 503
    assert answer.headers["Retry-After"] == "1"
    assert await rows(client) == []


@pytest.mark.parametrize("error", [StoreError, StoreBusyError])
async def test_a_store_that_fails_acknowledges_nothing(
    client: Client, ours: dict[str, str], monkeypatch: pytest.MonkeyPatch, error: type[StoreError]
) -> None:
    async def fails(*_: object) -> frozenset[int]:
        raise error("m.duckdb", why="the disk is full", remedy="make room")

    assert client.app is not None
    monkeypatch.setattr(client.app[keys.STORE], "append_events", fails)

    answer = await client.post(URL, json=[CLICK], headers=ours)

    assert await problem(answer) == (503, "m.duckdb: the disk is full; make room")


async def test_what_became_of_events_is_counted(
    client: Client, ours: dict[str, str], telemetry: Telemetry
) -> None:
    await client.post(URL, json=[CLICK, CLICK, {}], headers=ours)

    for result in ("accepted", "duplicate", "rejected"):
        labels = {"result": result}
        assert telemetry.registry.get_sample_value("collector_events_total", labels) == 1


@pytest.mark.parametrize(
    "given", [None, "Basic YTpi", "Bearer", "Bearer wrong", f"Bearer dhm_{'0' * 12}_{'0' * 48}"]
)
async def test_events_are_taken_with_a_key_only(client: Client, given: str | None) -> None:
    headers = {"Authorization": given} if given else {}

    answer = await client.post(URL, json=[CLICK], headers=headers)

    assert (await problem(answer))[0] == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


async def test_a_key_needs_the_scope(client: Client, valkey: str) -> None:
    theirs = await bearer(valkey, "read", "sql")

    answer = await client.post(URL, json=[CLICK], headers=theirs)

    status, detail = await problem(answer)
    assert status == 403
    assert "needs a key with the scope ingest, and yours has read, sql" in detail
    assert "insufficient_scope" in answer.headers["WWW-Authenticate"]


async def test_a_revoked_key_is_refused(client: Client, valkey: str, ours: dict[str, str]) -> None:
    async with linked(valkey) as link:
        await revoke_key(link.client, ours["Authorization"].split("_")[1])

    answer = await client.post(URL, json=[CLICK], headers=ours)

    assert (await problem(answer))[0] == 401


async def test_the_service_key_sends_for_nobody_in_particular(
    client: Client, tmp_path: Path, valkey: str
) -> None:
    own = {"Authorization": f"Bearer {service_key(make_settings(tmp_path, valkey))}"}
    named = CLICK | {"event_id": "e2", "user_id": "bob"}

    answer = await client.post(URL, json=[CLICK, named], headers=own)

    assert (await answer.json())["accepted"] == 2
    assert "RateLimit" not in answer.headers
    found = await rows(client, "SELECT key_id, user_id FROM events ORDER BY event_id")
    assert found == [
        {"key_id": "service", "user_id": None},
        {"key_id": "service", "user_id": "bob"},
    ]


async def test_reading_takes_a_key_where_it_is_configured(
    tmp_path: Path, valkey: str, telemetry: Telemetry
) -> None:
    settings = make_settings(tmp_path, valkey, "require_key = true")
    reader, sender = await bearer(valkey, "read"), await bearer(valkey, "ingest")
    async with serving(settings, telemetry) as client:
        statuses = [
            (await client.get("/api/v1/incidents", headers=headers)).status
            for headers in ({}, reader, sender)
        ]
        public = [(await client.get(path)).status for path in ("/metrics", "/healthz", "/")]

    assert statuses == [401, 200, 403]
    assert public == [200, 200, 200]


async def test_sql_takes_a_key_even_where_reading_does_not(client: Client) -> None:
    assert (await client.post("/api/v1/sql", json={"sql": "SELECT 1"})).status == 401
    assert (await client.get("/api/v1/incidents")).status == 200


async def test_a_quota_is_told_and_held(
    tmp_path: Path, valkey: str, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No minute ends in the middle of this test.
    monkeypatch.setattr(quota, "WINDOW_SECONDS", 10**9)
    settings = make_settings(tmp_path, valkey, "quota = { free = 3 }")
    ours = await bearer(valkey, tier="free")
    async with serving(settings, telemetry) as client:
        first = await client.post(URL, json=[CLICK, {}], headers=ours)
        second = await client.post(URL, json=[SALE, CLICK], headers=ours)
        third = await client.post(URL, json=[SALE], headers=ours)
        # Before anything of it is read.
        fourth = await client.post(URL, data=b"[", headers=ours)
        theirs = await bearer(valkey, tier="free")
        too_large = await client.post(URL, json=[CLICK] * 4, headers=theirs)
        refused = [await problem(answer) for answer in (second, fourth, too_large)]

    assert [answer.status for answer in (first, third)] == [200, 200]
    assert first.headers["RateLimit-Policy"] == f'"events";q=3;w={10**9}'
    assert first.headers["RateLimit"].startswith('"events";r=1;t=')
    assert int(second.headers["Retry-After"]) >= 1
    assert [status for status, _ in refused] == [429, 429, 429]
    assert "more than is left of 3 events a minute" in refused[0][1]
    assert "send it in parts" in refused[2][1]


async def test_without_redis_keys_cannot_be_checked(tmp_path: Path, telemetry: Telemetry) -> None:
    (tmp_path / "redis").mkdir()
    with running_valkey(tmp_path / "redis") as url:
        ours = await bearer(url)
        settings = make_settings(tmp_path, url)
    async with serving(settings, telemetry) as client:
        answer = await client.post(URL, json=[CLICK], headers=ours)
        refused = await problem(answer)
        without = await client.post(URL, json=[CLICK])

    assert refused[0] == 503
    assert answer.headers["Retry-After"] == "1"
    assert without.status == 401


async def test_the_loop_goes_on_while_a_large_body_is_decoded(
    client: Client, ours: dict[str, str]
) -> None:
    sent = b"\n".join(line(CLICK | {"event_id": f"e{number}"}) for number in range(50_000))
    sending = asyncio.create_task(client.post(URL, data=BytesIO(sent), headers=ours | NDJSON))
    looks = 0
    while not sending.done():
        await client.get("/healthz")
        looks += 1

    assert json.loads(await (await sending).text())["accepted"] == 50_000
    assert looks > 5
