"""`POST /api/v1/sql`: one SELECT of a person, in the sandbox."""

import msgspec
from aiohttp import web

from collector.api.formats import respond
from collector.errors import InvalidRequestError
from collector.store.reader import Query
from collector.store.result import Statement

MAX_BODY_BYTES = 256 * 1024
MAX_PARAMETERS = 100
MAX_ROWS = 10_000
Parameter = str | int | float | bool | None


class SqlRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`params` are the values of `?` or `$1`; `limit` caps the rows, at most MAX_ROWS."""

    sql: str
    params: list[Parameter] = []
    limit: int = MAX_ROWS


async def sql(request: web.Request) -> web.StreamResponse:
    asked = _decoded(await _body(request))
    statement = Statement(asked.sql, asked.params)
    return await respond(request, Query(statement, max_rows=asked.limit))


async def _body(request: web.Request) -> bytes:
    body = await request.content.read(MAX_BODY_BYTES + 1)
    while len(body) <= MAX_BODY_BYTES and not request.content.at_eof():
        body += await request.content.read(MAX_BODY_BYTES + 1 - len(body))
    if len(body) > MAX_BODY_BYTES:
        raise web.HTTPRequestEntityTooLarge(max_size=MAX_BODY_BYTES, actual_size=len(body))
    return body


def _decoded(body: bytes) -> SqlRequest:
    try:
        asked = msgspec.json.decode(body, type=SqlRequest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid("the body", f"is not what this address takes ({error})") from None
    if len(asked.params) > MAX_PARAMETERS:
        raise _invalid("params", f"must be at most {MAX_PARAMETERS} values")
    if not 0 < asked.limit <= MAX_ROWS:
        raise _invalid("limit", f"must be a number from 1 to {MAX_ROWS}")
    return asked


def _invalid(what: str, why: str) -> InvalidRequestError:
    return InvalidRequestError(what, why=why, remedy='send {"sql": "SELECT …", "params": […]}')
