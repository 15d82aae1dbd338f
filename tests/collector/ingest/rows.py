"""Events as senders write them."""

import json
from datetime import UTC, datetime
from typing import Any

from collector.ingest.decode import Decoded, Sender, decode

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
    assert len(outcome.events) == 2
    [rejected] = outcome.rejected
    assert rejected.index == 1
    return rejected.error
