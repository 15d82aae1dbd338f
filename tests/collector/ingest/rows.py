"""Events as senders write them."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec

from collector.ingest.decode import Decoded, decode
from collector.model.event import Event, Sender

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SENDER = Sender(key_id="k1", owner="ann", received_at=NOW)
LINES = "application/x-ndjson"
ARRAY = "application/json"
CLICK: dict[str, Any] = {"event_id": "e1", "type": "click", "ts": "2026-11-24T11:00:00+02:00"}
SALE = CLICK | {
    "type": "conversion",
    "txid": "t1",
    "sale_amount": "19.90",
    "commission": 1.99,
    "currency": "EUR",
    "status": "pending",
}


def line(event: dict[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=False).encode()


def decoded(*rows: bytes | dict[str, Any]) -> Decoded:
    """As NDJSON."""
    lines = [row if isinstance(row, bytes) else line(row) for row in rows]
    return decode(b"\n".join(lines), LINES, SENDER)


def error_of(row: bytes | dict[str, Any]) -> str:
    """Why the row is refused, between two good ones that are kept."""
    outcome = decoded(CLICK, row, SALE)
    assert outcome.good == 2
    [rejected] = outcome.rejected
    assert rejected.index == 1
    return rejected.error


def events_of(outcome: Decoded) -> list[Event]:
    """Those that are kept, as the store gets them."""
    lines = (line for block in outcome.events for line in block.lines.split(b"\n"))
    return [msgspec.json.decode(one, type=Event) for one in lines]
