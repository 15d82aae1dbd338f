"""Rows of a request: each is an event, or refused with the reason; nothing gets lost or escapes."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector.errors import InvalidRequestError, TooLargeError
from collector.ingest.decode import (
    MAX_ARRAY_BYTES,
    MAX_ROW_BYTES,
    MAX_ROWS,
    Decoded,
    decode,
    decode_compressed,
)
from tests.collector.ingest.rows import (
    ARRAY,
    CLICK,
    LINES,
    SALE,
    SENDER,
    decoded,
    error_of,
    events_of,
    line,
)

LONG = "x" * 10_000_000


def test_a_conversion_is_read_exactly() -> None:
    outcome = decoded(SALE | {"sub_ids": {"s1": "a\\b"}, "country": "DE"})

    [event] = events_of(outcome)
    assert (event.sale_amount, event.commission) == (Decimal("19.90"), Decimal("1.99"))
    assert event.ts == datetime(2026, 11, 24, 9, tzinfo=UTC)
    assert event.sub_ids == {"s1": "a\\b"}
    assert [block.sender for block in outcome.events] == [SENDER]


@pytest.mark.parametrize("null", ["user_id", "sub_ids", "country", "txid", "sale_amount", "status"])
def test_null_is_as_good_as_absent(null: str) -> None:
    assert decoded(CLICK | {null: None}).rejected == []


@pytest.mark.parametrize(
    ("amount", "kept"),
    [
        (b"0.1", "0.1"),
        (b"1e3", "1000"),
        (b'"1E+3"', "1000"),
        (b"-12.345678", "-12.345678"),
        (b"999999999999.999999", "999999999999.999999"),
        (b'"1.1000000000"', "1.1"),
    ],
)
def test_amounts_are_kept_exact(amount: bytes, kept: str) -> None:
    row = line(SALE).replace(b'"19.90"', amount)

    [event] = events_of(decoded(row))

    assert event.sale_amount == Decimal(kept)


@pytest.mark.parametrize(
    "amount",
    [
        b'"NaN"', b'"-sNaN"', b'"Infinity"', b'"-inf"', b"1e999999999", b'"1e-999999999"',
        b"1000000000000", b"0.1234567", b"1e12", b'"' + b"9" * 4000 + b'"',
    ],
)  # fmt: skip
def test_an_amount_that_would_be_rounded_is_refused(amount: bytes) -> None:
    error = error_of(line(SALE).replace(b'"19.90"', amount))

    assert error == (
        "Expected at most 12 digits before the decimal point and 6 after it - at `$.sale_amount`"
    )


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"type": "view"}, "Expected click or conversion - at `$.type`"),
        ({"type": 5}, "Expected `str`, got `int` - at `$.type`"),
        ({"event_id": ""}, "Expected `str` of length >= 1 - at `$.event_id`"),
        ({"event_id": "x" * 129}, "Expected `str` of length <= 128 - at `$.event_id`"),
        ({"event_id": None}, "Expected `str`, got `null` - at `$.event_id`"),
        ({"network": LONG[:300]}, "Expected `str` of length <= 256 - at `$.network`"),
        ({"network": LONG}, "Row is longer than 65536 bytes"),
        ({"network": "a\x00b"}, "Expected no control characters, got U+0000 - at `$.network`"),
        ({"page": "a\x85b"}, "Expected no control characters, got U+0085 - at `$.page`"),
        ({"page": "a\x7fb"}, "Expected no control characters, got U+007F - at `$.page`"),
        ({"sub_ids": {"a\n": "b"}}, "Expected no control characters, got U+000A - at `$.sub_ids`"),
        ({"sub_ids": {"a": 1}}, "Expected `str`, got `int` - at `$.sub_ids[...]`"),
        (
            {"sub_ids": {str(number): "" for number in range(33)}},
            "Expected `object` of length <= 32 - at `$.sub_ids`",
        ),
        (
            {"ts": "2026-11-24T12:00:00"},
            "Expected `datetime` with a timezone component - at `$.ts`",
        ),
        ({"ts": 1764000000}, "Expected `datetime`, got `int` - at `$.ts`"),
        ({"ts": "yesterday"}, "Invalid RFC3339 encoded datetime - at `$.ts`"),
        (
            {"ts": "1999-12-31T23:59:59Z"},
            "Expected a time from 2000-01-01 until a day from now - at `$.ts`",
        ),
        (
            {"ts": "2026-11-25T12:00:01Z"},
            "Expected a time from 2000-01-01 until a day from now - at `$.ts`",
        ),
        ({"country": "de"}, "Expected two capital letters (ISO 3166) - at `$.country`"),
        ({"country": "DEU"}, "Expected two capital letters (ISO 3166) - at `$.country`"),
        ({"schema": 2}, "Object contains unknown field `schema`"),
        ({"txid": "t1"}, "Expected nothing: only conversions have it - at `$.txid`"),
        ({"status": "pending"}, "Expected nothing: only conversions have it - at `$.status`"),
        (
            {"type": "conversion"},
            "Object missing required field `txid`, which every conversion has",
        ),
        (
            SALE | {"currency": None},
            "Object missing required field `currency`, in which `sale_amount` is",
        ),
        (
            SALE | {"currency": "EURO"},
            "Expected a currency code of ISO 4217 - at `$.currency`",
        ),
        (
            SALE | {"currency": "ZZZ"},
            "Expected a currency code of ISO 4217 - at `$.currency`",
        ),
        (
            SALE | {"status": "paid"},
            "Expected pending, approved, declined, deleted or unknown - at `$.status`",
        ),
        (SALE | {"commission": True}, "Expected `decimal | null`, got `bool` - at `$.commission`"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_refused_is_told_with_place_and_reason(change: dict[str, Any], error: str) -> None:
    assert error_of(CLICK | change) == error


@pytest.mark.parametrize(
    ("row", "error"),
    [
        (b"{", "Input data was truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (b"null", "Expected `object`, got `null`"),
        (b"{}", "Object missing required field `event_id`"),
        (b"\xff", "JSON is malformed: invalid character (byte 0)"),
        (line(CLICK) + b"{}", "JSON is malformed: trailing characters (byte 71)"),
        (b'{"event_id":"\xff"}', "Text is not valid UTF-8: invalid start byte"),
        (b'{"x":' + b"[" * 10_000, "Object contains unknown field `x`"),
        (b"[" * 10_000, "Expected `object`, got `array`"),
        (line(CLICK)[:-1] + b', "type": "click"}', "Object has the name `type` twice"),
        (
            line(CLICK | {"sub_ids": {"a": "b"}})[:-2] + b', "a": "c"}}',
            "Object has the name `a` twice",
        ),
        (
            line(CLICK)[:-1] + rb', "event\u005fid": "e2"}',
            "Object has the name `event_id` twice",
        ),
        (line(CLICK)[:-1] + b', "type" : "click"}', "Object has the name `type` twice"),
        # A comma that only we write, and a text that looks like a name with a null.
        (
            line(CLICK)[:-1] + rb', "page": "\u002c", "type": "click"}',
            "Object has the name `type` twice",
        ),
        (
            line(CLICK)[:-1] + rb', "page": "\":null", "type": "click"}',
            "Object has the name `type` twice",
        ),
        (
            line(SALE)[:-1] + b', "country": null, "commission": 7}',
            "Object has the name `commission` twice",
        ),
        (
            line(SALE)[:-1] + b', "commission": NaN}',
            "JSON is malformed: invalid character (byte 188)",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_row_that_is_no_event_is_refused_alone(row: bytes, error: str) -> None:
    assert error_of(row) == error


def test_an_error_quotes_little_of_what_was_sent() -> None:
    assert len(error_of(CLICK | {"y" * 5000: 1})) == 300


def test_empty_lines_are_no_rows() -> None:
    outcome = decoded(b"", line(CLICK), b"\r", b"  ", b"{}\r", b"")

    assert (outcome.good, [one.index for one in outcome.rejected]) == (1, [1])


@pytest.mark.parametrize("body", [b"", b" \n\r\n"])
@pytest.mark.parametrize("kind", [ARRAY, LINES, "application/octet-stream"])
def test_an_empty_body_is_refused(body: bytes, kind: str) -> None:
    with pytest.raises(InvalidRequestError, match="is empty"):
        decode(body, kind, SENDER)


@pytest.mark.parametrize("kind", [ARRAY, "application/octet-stream", "text/plain"])
def test_an_array_is_read_row_by_row(kind: str) -> None:
    body = json.dumps([CLICK, 1, SALE, {"event_id": "\u0000"}, CLICK], indent=2).encode()

    outcome = decode(b" \n" + body, kind, SENDER)

    assert (outcome.good, [one.index for one in outcome.rejected]) == (3, [1, 3])


def test_an_empty_array_has_no_rows() -> None:
    assert decode(b"[]", ARRAY, SENDER).rows == 0


def test_a_single_event_may_be_spread_over_lines() -> None:
    assert decode(json.dumps(CLICK, indent=2).encode(), ARRAY, SENDER).good == 1


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'[{"event_id": "e1"}, ', "Input data was truncated"),
        (b"[{} {}]", "expected ',' or ']' (byte 4)"),
        (b"[1]]", "trailing characters (byte 4)"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_broken_array_is_refused_as_a_whole(body: bytes, why: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        decode(body, ARRAY, SENDER)

    assert why in str(refused.value)


def test_too_many_rows_are_refused_as_a_whole() -> None:
    with pytest.raises(TooLargeError, match="more than 100000 events"):
        decode(b"{}\n" * (MAX_ROWS + 1), LINES, SENDER)


def test_an_array_that_is_too_long_is_refused_as_a_whole() -> None:
    with pytest.raises(TooLargeError, match="as lines"):
        decode_compressed([b"[" + b" " * MAX_ARRAY_BYTES], "identity", ARRAY, SENDER)


def test_a_long_line_is_one_refused_row_however_the_body_is_cut() -> None:
    body = b"\n".join([line(CLICK), b'{"page":"' + b"x" * 3_000_000 + b'"}', line(SALE)])

    outcome = decode_compressed([body], "identity", LINES, SENDER)

    assert outcome.good == 2
    [rejected] = outcome.rejected
    assert (rejected.index, rejected.error) == (1, f"Row is longer than {MAX_ROW_BYTES} bytes")


def test_many_rows_are_read_as_few_rows_are() -> None:
    """In blocks and one by one; rows that are refused do not change what becomes of the others."""
    rows = [line(CLICK | {"event_id": f"e{number}"}) for number in range(5_000)]
    rows[1_234] = rows[4_999] = b"{}"

    body = b"\n".join(rows)
    parts = [body[first : first + 100_000] for first in range(0, len(body), 100_000)]
    outcome = decode_compressed(parts, "identity", LINES, SENDER)

    assert [one.index for one in outcome.rejected] == [1_234, 4_999]
    assert events_of(outcome) == [
        event for row in rows if row != b"{}" for event in events_of(decoded(row))
    ]


TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.just("2026-11-24T11:00Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)
FIELDS = st.sampled_from([*SALE, "user_id", "sub_ids", "country", "page", "other"])
ROWS = st.one_of(
    st.binary(max_size=40),
    st.builds(lambda change: json.dumps(SALE | change).encode(), st.dictionaries(FIELDS, VALUES)),
    st.builds(lambda change: line(CLICK | change), st.dictionaries(FIELDS, VALUES)),
    st.builds(lambda at: line(SALE)[:at], st.integers(0, 150)),
)


def counted(body: bytes, kind: str) -> Decoded | None:
    """What became of the rows; None when the body was refused as a whole."""
    try:
        return decode(body, kind, SENDER)
    except (InvalidRequestError, TooLargeError):
        return None


@settings(max_examples=400, deadline=None)
@given(st.lists(ROWS, max_size=6))
@example([b"\xef\xbb\xbf" + line(CLICK)])
@example([line(CLICK) + b" " + line(CLICK), line(CLICK)[:30], line(CLICK)[30:]])
def test_any_bytes_become_rows_that_are_kept_or_refused(rows: list[bytes]) -> None:
    body = b"\n".join(rows)

    outcome = counted(body, LINES)

    lines = [row for row in body.split(b"\n") if row.strip()]
    assert (outcome.rows if outcome else 0) == len(lines)
    if outcome is None:
        return
    refused = [one.index for one in outcome.rejected]
    assert refused == sorted(set(refused))
    assert all(one.error for one in outcome.rejected)
    # Each row means the same alone: the fast way and the slow way agree.
    alone = [decode(row, LINES, SENDER) for row in lines]
    assert [index for index, one in enumerate(alone) if one.rejected] == refused
    assert [event for one in alone for event in events_of(one)] == events_of(outcome)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=60)
    | st.lists(VALUES, max_size=4).map(lambda rows: json.dumps(rows).encode())
)
def test_any_bytes_as_json_raise_nothing_unforeseen(body: bytes) -> None:
    outcome = counted(body, ARRAY)

    if outcome is not None:
        assert outcome.rows >= 0
