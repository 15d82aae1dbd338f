"""SQL of people over HTTP: formats, limits, errors, and clients that go away."""

import asyncio
import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import ClientResponse
from arro3.io import read_ipc_stream

from collector import keys
from collector.api import encoders, formats
from collector.api.sql import MAX_BODY_BYTES, MAX_ROWS
from collector.store.reader import PEOPLE_THREADS, PEOPLE_WAITING
from collector.store.store import Store
from tests.collector.api.conftest import Asker
from tests.servers.eventually import eventually

ARROW = "application/vnd.apache.arrow.stream"
ENDLESS = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range <> b.range"


async def ask(
    asker: Asker, sql: str, *params: object, accept: str = "", **more: object
) -> ClientResponse:
    headers = {"Accept": accept} if accept else {}
    body = {"sql": sql, "params": list(params), **more}
    return await asker.post("/api/v1/sql", json=body, headers=headers)


async def problem(response: ClientResponse, status: int) -> str:
    assert response.status == status, await response.text()
    assert response.content_type == "application/problem+json"
    return str((await response.json())["detail"])


async def until(is_so: Callable[[], bool]) -> None:
    async def look() -> bool:
        return is_so()

    assert await eventually(look, bool)


def store_of(asker: Asker) -> Store:
    assert asker.app is not None
    return asker.app[keys.STORE]


async def test_rows_come_with_the_names_and_types_of_their_columns(asker: Asker) -> None:
    response = await ask(asker, "SELECT $1 + 1 AS a, $2 AS b", 41, "x")

    assert response.status == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert await response.json() == {
        "columns": [{"name": "a", "type": "INTEGER"}, {"name": "b", "type": "VARCHAR"}],
        "rows": [[42, "x"]],
        "truncated": False,
    }


JSON_VALUES: list[tuple[str, object]] = [
    ("NULL", None),
    ("true", True),
    ("9223372036854775807", 2**63 - 1),
    ("CAST(18446744073709551615 AS UBIGINT)", 2**64 - 1),
    ("CAST('170141183460469231731687303715884105727' AS HUGEINT)", 2**127 - 1),
    ("sum(range) FROM range(4)", 6),
    ("CAST(1.5 AS DOUBLE)", 1.5),
    ("CAST('nan' AS DOUBLE)", "NaN"),
    ("CAST('inf' AS DOUBLE)", "+Inf"),
    ("[CAST('-inf' AS FLOAT)]", ["-Inf"]),
    ("CAST('1.50' AS DECIMAL(9, 2))", "1.50"),
    ("CAST('0.0000001' AS DECIMAL(18, 7))", "0.0000001"),
    ("TIMESTAMPTZ '2026-11-24 13:00:00.5+01:00'", "2026-11-24T12:00:00.500000Z"),
    ("TIMESTAMP '2026-11-24 13:00:00'", "2026-11-24T13:00:00"),
    ("DATE '2026-11-24'", "2026-11-24"),
    ("INTERVAL '36 hours'", "P1DT43200S"),
    ("map {'a': 1.5}", {"a": "1.5"}),
    ("map {1: NULL}", {"1": None}),
    ("{'a': [1, NULL]}", {"a": [1, None]}),
    ("CAST('\\x00\\xFF' AS BLOB)", "AP8="),
    ("CAST('{\"a\": 1}' AS JSON)", '{"a": 1}'),
    ("'a\"\n'", 'a"\n'),
]


@pytest.mark.parametrize(("sql", "expected"), JSON_VALUES, ids=[sql for sql, _ in JSON_VALUES])
async def test_json_says_each_value_exactly(asker: Asker, sql: str, expected: object) -> None:
    response = await ask(asker, f"SELECT {sql}")

    text = await response.text()
    assert response.status == 200, text
    assert json.loads(text)["rows"] == [[expected]]


async def test_csv_is_rfc_4180_and_tells_null_from_an_empty_text(asker: Asker) -> None:
    response = await ask(
        asker,
        "SELECT NULL AS n, '' AS e, 'a,b' AS \"c\"\"d\", 'x\"y' AS q, true AS t, [1, 2] AS l,"
        " TIMESTAMPTZ '2026-11-24 12:00:00Z' AS z, CAST('nan' AS DOUBLE) AS f",
        accept="text/csv",
    )

    assert response.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    assert response.headers["Dhmon-Truncated"] == "false"
    text = (await response.read()).decode()
    assert text == (
        'n,e,"c""d",q,t,l,z,f\r\n,"","a,b","x""y",true,"[1,2]",2026-11-24T12:00:00Z,NaN\r\n'
    )
    assert len(list(csv.reader(io.StringIO(text, newline="")))) == 2


async def test_arrow_keeps_the_types_and_stays_within_the_limit(asker: Asker) -> None:
    sql = "SELECT range AS a, CAST(range AS VARCHAR) AS b FROM range($1)"

    whole = await ask(asker, sql, 3000, accept=ARROW)
    part = await ask(asker, sql, 3000, accept=ARROW, limit=7)

    assert whole.content_type == ARROW
    assert whole.headers["Dhmon-Truncated"] == "false"
    table = read_ipc_stream(io.BytesIO(await whole.read())).read_all()
    types = [str(table.schema.field(index).type) for index in range(2)]
    assert types == [
        "arro3.core.DataType<Int64>\n",
        "arro3.core.DataType<Utf8>\n",
    ]
    assert table["a"].to_pylist() == list(range(3000))
    assert part.headers["Dhmon-Truncated"] == "true"
    rows = read_ipc_stream(io.BytesIO(await part.read())).read_all()
    assert rows.num_rows == 7


async def test_no_rows_are_an_answer_in_every_format(asker: Asker) -> None:
    sql = "SELECT metric FROM series WHERE metric = 'nobody'"

    as_json = await ask(asker, sql)
    as_csv = await ask(asker, sql, accept="text/csv")
    as_arrow = await ask(asker, sql, accept=ARROW)

    assert (await as_json.json())["rows"] == []
    assert await as_csv.read() == b"metric\r\n"
    assert read_ipc_stream(io.BytesIO(await as_arrow.read())).read_all().num_rows == 0


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/csv", "text/csv"),
        ("text/*", "text/csv"),
        ("TEXT/CSV", "text/csv"),
        (ARROW, ARROW),
        ("text/html, */*;q=0.1", "application/json"),
        ("application/json;q=0.5, text/csv", "text/csv"),
        ("text/csv;q=0.5, application/json;q=0.4", "text/csv"),
        ("application/json;q=0, */*", "text/csv"),
        ("text/csv; charset=utf-8; q=1", "text/csv"),
        ("application/json;q=nonsense", "application/json"),
        ("text/html", None),
        ("application/json;q=0", None),
        (",", None),
    ],
)
async def test_the_format_is_the_one_that_accept_likes_best(
    asker: Asker, accept: str, expected: str | None
) -> None:
    response = await ask(asker, "SELECT 1", accept=accept)

    if expected is None:
        assert ARROW in await problem(response, 406)
    else:
        assert response.content_type == expected
        assert response.headers["Vary"] == "Accept"


async def test_more_rows_than_the_limit_are_cut_off_and_it_says_so(asker: Asker) -> None:
    sql = "SELECT * FROM range($1)"

    exact = await (await ask(asker, sql, MAX_ROWS)).json()
    more = await (await ask(asker, sql, MAX_ROWS + 1)).json()
    fewer = await (await ask(asker, sql, 10, limit=3)).json()

    assert (len(exact["rows"]), exact["truncated"]) == (MAX_ROWS, False)
    assert (len(more["rows"]), more["truncated"]) == (MAX_ROWS, True)
    assert (fewer["rows"], fewer["truncated"]) == ([[0], [1], [2]], True)


@pytest.mark.parametrize("accept", list(formats.ENCODERS))
async def test_an_answer_that_grows_too_long_is_cut_off(
    asker: Asker, monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    monkeypatch.setattr(encoders, "MAX_BYTES", 100_000)

    response = await ask(
        asker, "SELECT md5(CAST(range AS VARCHAR)) FROM range(10000)", accept=accept
    )

    body = await response.read()
    assert response.headers["Dhmon-Truncated"] == "true"
    assert 100_000 <= len(body) < 150_000
    if accept == "application/json":
        assert json.loads(body)["truncated"] is True


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "is not what this address takes"),
        (b"nonsense", "is not what this address takes"),
        (b"[]", "Expected `object`"),
        (b"{}", "required field `sql`"),
        (b'{"sql": 1}', "Expected `str`"),
        (b'{"sql": "SELECT 1", "more": 1}', "unknown field `more`"),
        (b'{"sql": "SELECT 1", "params": [{}]}', "params"),
        (b'{"sql": "SELECT 1", "params": [1e999]}', "is not what this address takes"),
        (b'{"sql": "\xff"}', "is not what this address takes"),
        (b'{"sql": "SELECT 1", "limit": 0}', "limit"),
        (b'{"sql": "SELECT 1", "limit": 10001}', "limit"),
        (json.dumps({"sql": "SELECT 1", "params": [1] * 101}).encode(), "at most 100"),
        (json.dumps({"sql": "SELECT ?", "params": [1, 2]}).encode(), "excess parameters"),
        (json.dumps({"sql": "SELECT ?"}).encode(), "not provided"),
        (json.dumps({"sql": "SELECT nope FROM events"}).encode(), '"nope" not found'),
        (json.dumps({"sql": "SELEC 1"}).encode(), "syntax error"),
        (json.dumps({"sql": "SELECT CAST('a' AS INTEGER)"}).encode(), "Conversion Error"),
        (json.dumps({"sql": "DROP TABLE events"}).encode(), "not allowed"),
        (json.dumps({"sql": "SELECT 18446744073709551616 || chr(1114112)"}).encode(), "fails"),
    ],
)
async def test_what_is_wrong_with_a_question_is_said(asker: Asker, body: bytes, said: str) -> None:
    response = await asker.post("/api/v1/sql", data=body)

    assert said in await problem(response, 400)


async def test_a_body_that_is_too_long_is_refused(asker: Asker) -> None:
    response = await asker.post("/api/v1/sql", data=b"x" * (MAX_BODY_BYTES + 1))

    await problem(response, 413)


async def test_a_query_that_takes_too_long_is_a_gateway_time_out(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.store.reader.TIMEOUT_SECONDS", 0.2)

    assert "ask for a shorter span" in await problem(await ask(asker, ENDLESS), 504)


async def test_a_crowd_is_told_to_come_back(asker: Asker) -> None:
    crowd = [
        asyncio.create_task(ask(asker, ENDLESS)) for _ in range(PEOPLE_THREADS + PEOPLE_WAITING)
    ]
    await until(lambda: _admitted(asker) == len(crowd))

    response = await ask(asker, "SELECT 1")
    for task in crowd:
        task.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)

    await problem(response, 503)
    assert response.headers["Retry-After"] == "1"
    await until(lambda: _admitted(asker) == 0)
    assert (await ask(asker, "SELECT 1")).status == 200


def _admitted(asker: Asker) -> int:
    return store_of(asker)._reader._admitted


async def test_a_query_is_stopped_when_its_client_hangs_up(asker: Asker) -> None:
    """A real socket that closes: production lets handlers run on, so it has to be noticed."""
    body = json.dumps({"sql": ENDLESS}).encode()
    _, writer = await asyncio.open_connection(asker.host, asker.port)
    writer.write(
        b"POST /api/v1/sql HTTP/1.1\r\nHost: x\r\n"
        + f"Authorization: {asker.session.headers['Authorization']}\r\n".encode()
        + f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    await writer.drain()
    running = store_of(asker)._reader._watch._running
    await until(lambda: len(running) == 1)

    writer.close()
    await writer.wait_closed()

    await until(lambda: not running and _admitted(asker) == 0)


async def test_who_takes_no_answer_does_not_hold_a_place_for_ever(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "SEND_SECONDS", 0.3)
    sql = "SELECT md5(range::VARCHAR) || md5((range + 1)::VARCHAR) || md5((range * 3)::VARCHAR) "
    wide = ", ".join(f"md5((range + {n})::VARCHAR)" for n in range(40))
    body = json.dumps({"sql": f"{sql}, {wide} FROM range(9000)"}).encode()
    _, writer = await asyncio.open_connection(asker.host, asker.port, limit=1024)
    writer.write(
        b"POST /api/v1/sql HTTP/1.1\r\nHost: x\r\n"
        + f"Authorization: {asker.session.headers['Authorization']}\r\n".encode()
        + f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    await writer.drain()
    await until(lambda: _admitted(asker) == 1)

    await until(lambda: _admitted(asker) == 0)

    writer.close()


async def test_the_event_loop_goes_on_while_a_long_answer_is_made(asker: Asker) -> None:
    wide = ", ".join(f"md5((range + {n})::VARCHAR) AS c{n}" for n in range(20))
    asked = asyncio.create_task(ask(asker, f"SELECT {wide} FROM range(10000)"))  # noqa: S608
    loop, stalls = asyncio.get_running_loop(), list[float]()

    while not asked.done():
        before = loop.time()
        await asyncio.sleep(0.002)
        stalls.append(loop.time() - before)
    response = await asked

    answer: dict[str, Any] = json.loads(await response.read())
    assert len(answer["rows"]) == 10_000
    assert max(stalls) < 0.2
