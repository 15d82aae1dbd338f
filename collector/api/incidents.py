"""`GET /api/v1/incidents`: newest first, a page at a time."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Literal, cast

import msgspec
from aiohttp import web

from collector import keys
from collector.errors import InvalidRequestError
from collector.store.incidents import IncidentRow, incident_page
from common.overview import Incident

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
PARAMETERS = frozenset({"state", "limit", "cursor"})


class IncidentPage(msgspec.Struct, frozen=True, kw_only=True):
    """`next_cursor` is None on the last page."""

    incidents: list[Incident]
    next_cursor: str | None


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended."""

    opened_at: datetime
    id: str


async def incidents(request: web.Request) -> web.Response:
    unknown = request.query.keys() - PARAMETERS
    if unknown:
        raise _invalid(sorted(unknown)[0], f"is not one of {', '.join(sorted(PARAMETERS))}")
    limit = _limit(request.query.get("limit", str(DEFAULT_LIMIT)))
    rows = await incident_page(
        request.app[keys.STORE],
        state=_state(request.query.get("state", "all")),
        limit=limit + 1,
        before=_before(request.query.get("cursor")),
    )
    now = datetime.now(UTC)
    page = IncidentPage(
        incidents=[_incident(row, now) for row in rows[:limit]],
        next_cursor=_cursor(rows[limit - 1]) if len(rows) > limit else None,
    )
    return web.Response(body=msgspec.json.encode(page), content_type="application/json")


def _limit(text: str) -> int:
    # isdecimal alone admits other scripts' digits and numbers of any length.
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 0 < int(text) <= MAX_LIMIT):
        raise _invalid("limit", f"must be a number from 1 to {MAX_LIMIT}")
    return int(text)


def _state(text: str) -> Literal["all", "open", "closed"]:
    if text not in ("all", "open", "closed"):
        raise _invalid("state", "must be all, open or closed")
    return cast('Literal["all", "open", "closed"]', text)


def _before(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    try:
        place = msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=Place)
    except (binascii.Error, ValueError):
        raise _invalid("cursor", "must be a next_cursor that this address gave") from None
    if place.opened_at.tzinfo is None:
        raise _invalid("cursor", "must be a next_cursor that this address gave")
    return place.opened_at, place.id


def _cursor(row: IncidentRow) -> str:
    place = Place(row.opened_at, row.id)
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def _incident(row: IncidentRow, now: datetime) -> Incident:
    return Incident(
        id=row.id,
        name=row.name,
        target=row.target,
        severity=row.severity,
        cause=row.cause,
        detail=row.detail,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        duration_seconds=((row.closed_at or now) - row.opened_at).total_seconds(),
    )


def _invalid(parameter: str, why: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"the parameter {parameter}", why=why, remedy="correct it and ask again"
    )
