"""A click or a conversion: as a sender may write it, and as it is kept."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation
from itertools import product
from string import ascii_uppercase
from typing import Annotated, Literal

import msgspec

from collector.model.currency import CURRENCIES

TEXT_CHARACTERS = 256
PAGE_CHARACTERS = 2048
SUB_IDS = 32
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
# Clocks of senders may be wrong, and in another time zone than they say.
AHEAD = timedelta(days=1)
# Any two letters: networks use codes that ISO 3166 leaves to users, such as XK.
COUNTRIES = frozenset(map("".join, product(ascii_uppercase, repeat=2)))
OF_CONVERSIONS = ("txid", "sale_amount", "commission", "currency", "status")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# What DECIMAL(18, 6) holds exactly.
MICRO = Decimal("0.000001")
EXACT = Context(prec=18, traps=[Inexact, InvalidOperation])

_encode_lines = msgspec.json.Encoder().encode_lines

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_CHARACTERS)]
SubIds = Annotated[
    dict[
        Annotated[str, msgspec.Meta(min_length=1, max_length=64)],
        Annotated[str, msgspec.Meta(max_length=TEXT_CHARACTERS)],
    ],
    msgspec.Meta(max_length=SUB_IDS),
]


class Event(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    gc=False,
):
    """Types and lengths are checked when it is decoded, the rest by `problem`."""

    event_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    type: Literal["click", "conversion"]
    ts: Annotated[datetime, msgspec.Meta(tz=True)]
    user_id: Text | None = None
    network: Text | None = None
    program: Text | None = None
    click_id: Text | None = None
    sub_ids: SubIds | None = None
    country: Text | None = None
    device: Text | None = None
    page: Annotated[str, msgspec.Meta(min_length=1, max_length=PAGE_CHARACTERS)] | None = None
    txid: Text | None = None
    sale_amount: Decimal | None = None
    commission: Decimal | None = None
    currency: Text | None = None
    status: Literal["pending", "approved", "declined", "deleted", "unknown"] | None = None


class Sender(msgspec.Struct, frozen=True, gc=False):
    """What the events of a request get from it. `received_at` is UTC.

    `owner` is the publisher of the events that name none.
    """

    key_id: str
    owner: str | None
    received_at: datetime


class ReceivedEvents(msgspec.Struct, frozen=True, gc=False):
    """Events as we write them: one a line, no name twice, amounts as text, which nothing rounds."""

    sender: Sender
    lines: bytes
    count: int


def received(events: Sequence[Event], sender: Sender) -> ReceivedEvents:
    return ReceivedEvents(sender, _encode_lines(events).rstrip(b"\n"), len(events))


def problem(event: Event, latest: datetime) -> str | None:
    """Why the event is refused, if it is; it may have happened until `latest`.

    Control characters are not looked for: see `control_character_in`.
    """
    if not EARLIEST <= event.ts <= latest:
        return _expected("ts", f"a time from {EARLIEST:%Y-%m-%d} until a day from now")
    if event.country is not None and event.country not in COUNTRIES:
        return _expected("country", "two capital letters (ISO 3166)")
    if event.type == "conversion":
        return _conversion_problem(event)
    return _click_problem(event)


def control_character_in(event: Event) -> str | None:
    """Why the event is refused when a text of it has a control character."""
    for name in event.__struct_fields__:
        value = getattr(event, name)
        texts = (*value.keys(), *value.values()) if isinstance(value, dict) else (value,)
        for text in texts:
            if isinstance(text, str) and (found := CONTROL.search(text)):
                character = f"U+{ord(found[0]):04X}"
                return _expected(name, f"no control characters, got {character}")
    return None


def _conversion_problem(event: Event) -> str | None:
    if event.txid is None:
        return "Object missing required field `txid`, which every conversion has"
    for name, amount in (("sale_amount", event.sale_amount), ("commission", event.commission)):
        if amount is None:
            continue
        if event.currency is None:
            return f"Object missing required field `currency`, in which `{name}` is"
        if not _is_exact(amount):
            return _expected(name, "at most 12 digits before the decimal point and 6 after it")
    if event.currency is not None and event.currency not in CURRENCIES:
        return _expected("currency", "a currency code of ISO 4217")
    return None


def _is_exact(amount: Decimal) -> bool:
    """Whether it is kept as it is: not rounded, not cut."""
    if not amount.is_finite():
        return False
    try:
        EXACT.quantize(amount, MICRO)
    except DecimalException:
        return False
    return True


def _click_problem(event: Event) -> str | None:
    if (
        event.txid is None
        and event.sale_amount is None
        and event.commission is None
        and event.currency is None
        and event.status is None
    ):
        return None
    name = next(name for name in OF_CONVERSIONS if getattr(event, name) is not None)
    return _expected(name, "nothing: only conversions have it")


def _expected(name: str, what: str) -> str:
    """In the words of msgspec, which finds the other problems."""
    return f"Expected {what} - at `$.{name}`"
