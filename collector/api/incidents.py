"""`GET /api/v1/incidents`: newest first, a page at a time."""

import base64
import binascii
from datetime import UTC, datetime
from typing import cast

import msgspec
from aiohttp import web

from collector import keys
from collector.api.encoders import Encoded
from collector.api.formats import More, negotiated, respond
from collector.errors import InvalidRequestError
from collector.store.incidents import IncidentRow, State, incident_page, incident_statement
from collector.store.reader import Query
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


async def incidents(request: web.Request) -> web.StreamResponse:
    unknown = request.query.keys() - PARAMETERS
    if unknown:
        raise _invalid(sorted(unknown)[0], f"is not one of {', '.join(sorted(PARAMETERS))}")
    limit = _limit(request.query.get("limit", str(DEFAULT_LIMIT)))
    state, before = _state(request.query.get("state", "all")), _before(request.query.get("cursor"))
    if negotiated(request) != "application/json":
        statement = incident_statement(state=state, limit=limit + 1, before=before)
        return await respond(request, Query(lambda _: statement, max_rows=limit), _more)
    store = request.app[keys.STORE]
    rows = await incident_page(store, state=state, limit=limit + 1, before=before)
    now = datetime.now(UTC)
    page = IncidentPage(
        incidents=[_incident(row, now) for row in rows[:limit]],
        next_cursor=_cursor_after(rows[limit - 1]) if len(rows) > limit else None,
    )
    return web.Response(body=msgspec.json.encode(page), content_type="application/json")


def _more(encoded: Encoded) -> More:
    """Where the next page begins, for the formats that have no place for it among the rows."""
    row = encoded.last() if encoded.truncated else None
    if row is None:
        return More()
    return More(headers={"Dhmon-Next-Cursor": _cursor(Place(opened_at=row[6], id=row[0]))})


def _limit(text: str) -> int:
    # isdecimal alone admits other scripts' digits and numbers of any length.
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 0 < int(text) <= MAX_LIMIT):
        raise _invalid("limit", f"must be a number from 1 to {MAX_LIMIT}")
    return int(text)


def _state(text: str) -> State:
    if text not in ("all", "open", "closed"):
        raise _invalid("state", "must be all, open or closed")
    return cast("State", text)


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


def _cursor_after(row: IncidentRow) -> str:
    return _cursor(Place(row.opened_at, row.id))


def _cursor(place: Place) -> str:
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
