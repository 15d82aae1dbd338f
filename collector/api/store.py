"""`POST /api/v1/store/…`: care of the store at work; each line of the answer is one report.

With the service key only. One at a time. When the client leaves, the work is cancelled: a backup
or a compaction that was not finished leaves nothing behind.
"""

import hmac
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import msgspec
import structlog
from aiohttp import web

from collector import keys
from collector.errors import BusyStoreError, InvalidRequestError, MissingKeyError
from collector.model.report import Failed, Report, Say
from collector.store.backup import BackupOptions
from collector.store.care import back_up, compact, verify
from collector.store.reports import reports
from common.errors import DhmonError
from common.service_key import service_key

log = structlog.get_logger(__name__)


class BackupBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`folder` is on the collector's machine."""

    folder: str
    full: bool = False
    keep: int | None = None


async def store_backup(request: web.Request) -> web.StreamResponse:
    _require_service_key(request)
    store = request.app[keys.STORE]
    options = _backup_options(await request.read())
    return await _stream(request, lambda say: back_up(store, options, say))


async def store_verify(request: web.Request) -> web.StreamResponse:
    _require_service_key(request)
    store = request.app[keys.STORE]
    return await _stream(request, lambda say: verify(store, say))


async def store_compact(request: web.Request) -> web.StreamResponse:
    _require_service_key(request)
    store = request.app[keys.STORE]
    return await _stream(request, lambda say: compact(store, say))


async def _stream(
    request: web.Request, work: Callable[[Say], Awaitable[None]]
) -> web.StreamResponse:
    upkeep = request.app[keys.STORE].upkeep
    if upkeep.locked():
        raise BusyStoreError(
            "the store",
            why="it is being backed up, verified or compacted already",
            remedy="try again when that has ended",
        )
    async with upkeep:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        try:
            async with aclosing(reports(work)) as lines:
                async for report in lines:
                    await response.write(_line(report))
        except DhmonError as error:
            log.warning("care of the store failed", route=request.path, error=str(error))
            await response.write(_line(Failed(what=error.what, why=error.why, remedy=error.remedy)))
        except ConnectionError:
            log.info("cancelled: the client left", route=request.path)
    return response


def _line(report: Report) -> bytes:
    return msgspec.json.encode(report) + b"\n"


def _backup_options(body: bytes) -> BackupOptions:
    try:
        asked = msgspec.json.decode(body, type=BackupBody)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _invalid(str(error)) from None
    if not Path(asked.folder).is_absolute():
        raise _invalid("folder is no absolute path")
    if asked.keep is not None and asked.keep < 1:
        raise _invalid("keep is less than 1")
    return BackupOptions(folder=Path(asked.folder), full=asked.full, keep=asked.keep)


def _invalid(why: str) -> InvalidRequestError:
    return InvalidRequestError(
        "the body", why=why, remedy='send {"folder": "/path", "full": false, "keep": 7}'
    )


def _require_service_key(request: web.Request) -> None:
    """Also where reading is open: this copies and replaces the store."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    key = service_key(request.app[keys.SETTINGS]).encode()
    is_right = hmac.compare_digest(given.encode("utf-8", "surrogateescape"), key)
    if scheme.lower() != "bearer" or not is_right:
        raise MissingKeyError(
            "this address",
            why="takes the service key only",
            remedy="send Authorization: Bearer with the service key",
        )
