"""Rows as JSON, CSV or an Arrow IPC stream, as `Accept` asks.

Encoding runs in the thread that reads the rows; the event loop only sends finished bytes, a piece
at a time, no faster than the client takes them.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiohttp import web

from collector import keys
from collector.api.encoders import Encoded, Encoder, encode_arrow, encode_csv, encode_json
from collector.errors import NotAcceptableError
from collector.store.reader import Query

ENCODERS: dict[str, Encoder] = {
    "application/json": encode_json,
    "text/csv": encode_csv,
    "application/vnd.apache.arrow.stream": encode_arrow,
}
CONTENT_TYPES = {"text/csv": "text/csv; charset=utf-8; header=present"}
LOOK_SECONDS = 0.1
SEND_SECONDS = 60.0
PIECE_BYTES = 256 * 1024
CLIENT_LEFT = 499
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class More:
    """What an answer tells beside its rows: JSON members, and headers for the other formats."""

    members: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


Finish = Callable[[Encoded], More]


def nothing_more(_: Encoded) -> More:
    return More()


def negotiated(request: web.Request) -> str:
    """The media type to answer in: the one of ours that `Accept` likes best, JSON on a tie.

    Raises NotAcceptableError when it likes none.
    """
    accept = ",".join(request.headers.getall("Accept", [])) or "*/*"
    ranges = [_range(part) for part in accept.split(",") if part.strip()]
    quality = {offered: _quality(offered, ranges) for offered in ENCODERS}
    best = max(ENCODERS, key=lambda offered: quality[offered])
    if quality[best] <= 0:
        raise NotAcceptableError(
            f"Accept: {accept[:200]}",
            why="names no format that this address has",
            remedy=f"ask for one of {', '.join(ENCODERS)}",
        )
    return best


def _range(part: str) -> tuple[str, float]:
    """A media range and its q-value; one that is no number counts as 1, as if it were not there."""
    name, *parameters = (word.strip().lower() for word in part.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return name, min(max(float(value), 0.0), 1.0)
            except ValueError:
                return name, 1.0
    return name, 1.0


def _quality(offered: str, ranges: list[tuple[str, float]]) -> float:
    """By the most specific range that fits (RFC 9110 §12.5.1)."""
    given = dict(ranges)
    for pattern in (offered, f"{offered.partition('/')[0]}/*", "*/*"):
        if pattern in given:
            return given[pattern]
    return 0.0


async def respond(
    request: web.Request, query: Query, finish: Finish = nothing_more
) -> web.StreamResponse:
    """Run `query` and send what it answers; it is stopped when the client goes away.

    Raises what Store.answer raises, before anything has been sent.
    """
    media_type = negotiated(request)
    encoder, store = ENCODERS[media_type], request.app[keys.STORE]
    with store.admitted():
        asked = asyncio.ensure_future(
            store.answer(query, lambda result: encoder(result, lambda done: finish(done).members))
        )
        if not await _finished(request, asked):
            log.info("the client left before its answer")
            return web.Response(status=CLIENT_LEFT, reason="Client Closed Request")
        encoded = asked.result()
        return await _send(request, encoded, _headers(media_type, encoded, finish(encoded)))


async def _finished(request: web.Request, asked: "asyncio.Future[Any]") -> bool:
    """Wait; false when the connection was lost before, and then `asked` is cancelled.

    Our server lets handlers run to their end when a client leaves (a commit must not be cut off),
    so the connection has to be looked at.
    """
    try:
        while not asked.done():
            await asyncio.wait({asked}, timeout=LOOK_SECONDS)
            if request.transport is None or request.transport.is_closing():
                return False
        return True
    finally:
        asked.cancel()


def _headers(media_type: str, encoded: Encoded, more: More) -> dict[str, str]:
    return {
        "Content-Type": CONTENT_TYPES.get(media_type, media_type),
        "Cache-Control": "no-store",
        "Vary": "Accept",
        "Dhmon-Truncated": "true" if encoded.truncated else "false",
        **more.headers,
    }


async def _send(
    request: web.Request, encoded: Encoded, headers: Mapping[str, str]
) -> web.StreamResponse:
    response = web.StreamResponse(headers=headers)
    response.content_length = len(encoded.body)
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await response.prepare(request)
            for start in range(0, len(encoded.body), PIECE_BYTES):
                await response.write(encoded.body[start : start + PIECE_BYTES])
            await response.write_eof()
    except TimeoutError:
        # The answer is announced already: all that is left is to hang up.
        log.info("a client took its answer too slowly")
        if request.transport is not None:
            request.transport.abort()
    return response
