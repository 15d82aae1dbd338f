"""Incidents as they stand: the open ones for a start, pages of them for the API."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from collector.model.incident import IncidentEvent, Severity
from collector.store.result import Statement
from collector.store.store import Store

OPEN = """
SELECT id AS incident_id, 'opened' AS kind, opened_at AS at, name, target, severity, cause, detail
FROM incidents
WHERE closed_at IS NULL AND opened_at IS NOT NULL
ORDER BY opened_at
"""
PAGE = """
SELECT id, name, target, severity, cause, detail, opened_at, closed_at
FROM incidents
WHERE opened_at IS NOT NULL
  AND ($state = 'all' OR ($state = 'open') = (closed_at IS NULL))
  AND ($before_at IS NULL OR (opened_at, id) < ($before_at::TIMESTAMPTZ, $before_id))
ORDER BY opened_at DESC, id DESC
LIMIT $limit
"""


State = Literal["all", "open", "closed"]


@dataclass(frozen=True, slots=True)
class IncidentRow:
    id: str
    name: str
    target: str
    severity: Severity
    cause: str
    detail: str
    opened_at: datetime
    closed_at: datetime | None


async def open_incidents(store: Store) -> list[IncidentEvent]:
    """The opening events of all incidents that are not closed, oldest first."""
    return await store.fetch(IncidentEvent, OPEN)


async def incident_page(
    store: Store,
    *,
    state: State,
    limit: int,
    before: tuple[datetime, str] | None,
) -> list[IncidentRow]:
    """Newest first; `before` is the place (opened_at, id) of the last row that was read."""
    return await store.fetch(IncidentRow, PAGE, _parameters(state, limit, before))


def incident_statement(
    *, state: State, limit: int, before: tuple[datetime, str] | None
) -> Statement:
    """The same as a statement, for formats that take the rows as they are."""
    return Statement(PAGE, _parameters(state, limit, before))


def _parameters(state: State, limit: int, before: tuple[datetime, str] | None) -> dict[str, object]:
    before_at, before_id = before or (None, None)
    return {"state": state, "limit": limit, "before_at": before_at, "before_id": before_id}
