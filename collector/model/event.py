"""A click or a conversion, as it is kept."""

from datetime import datetime
from decimal import Decimal

import msgspec


class ReceivedEvent(msgspec.Struct, frozen=True, kw_only=True):
    received_at: datetime
    ts: datetime
    key_id: str
    event_id: str
    type: str
    user_id: str | None = None
    network: str | None = None
    program: str | None = None
    click_id: str | None = None
    sub_ids: dict[str, str] | None = None
    country: str | None = None
    device: str | None = None
    page: str | None = None
    txid: str | None = None
    sale_amount: Decimal | None = None
    commission: Decimal | None = None
    currency: str | None = None
    status: str | None = None
