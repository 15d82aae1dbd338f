"""Events out of JSON: whole blocks at once where all is well, row by row where something is not.

Every call into msgspec holds the interpreter's lock, so blocks are small.
"""

import json
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, repeat

import msgspec

from collector.errors import InvalidRequestError, TooLargeError
from collector.ingest.body import decompressed, whole_lines
from collector.model.event import (
    AHEAD,
    Event,
    ReceivedEvents,
    Sender,
    control_character_in,
    problem,
    received,
)

MAX_ROWS = 100_000
MAX_ROW_BYTES = 64 << 10
MAX_ARRAY_BYTES = 8 << 20
ROWS_IN_BLOCK = 1_000
MAX_ERROR_CHARACTERS = 300
ARRAY_TYPE, LINES_TYPE = "application/json", "application/x-ndjson"
# How JSON writes the control characters that it admits: as escapes below U+0020, and else raw.
ESCAPED_CONTROL = re.compile(rb"\\(?:[bfnrt]|u00(?:[0189]|7[fF]))")
RAW_CONTROL = re.compile(rb"\x7f|\xc2[\x80-\x9f]")
# An escaped comma, and what looks like the end of a name within a text.
MISLEADING = (rb"\u002", rb"\":")
NULL = (b'":null', b'": null')
CHOICES = {
    "type": "click or conversion",
    "status": "pending, approved, declined, deleted or unknown",
}

_decode_event = msgspec.json.Decoder(Event).decode
_decode_raw = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Rejected(msgspec.Struct, frozen=True):
    """`index` is the row's place in the request."""

    index: int
    error: str


PAUSE_SECONDS = 0.0001


@dataclass(slots=True)
class Decoded:
    """The good rows, `good` of them, and the others; `rows` is the number of both."""

    events: list[ReceivedEvents] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    good: int = 0

    @property
    def rows(self) -> int:
        return self.good + len(self.rejected)


def decode(body: bytes, kind: str, sender: Sender) -> Decoded:
    """The events of a body as it is.

    `kind` is its media type: an array or a single event, lines, or for anything else whichever it
    begins like. Raises InvalidRequestError when the body cannot be cut into rows, TooLargeError
    when there are too many.
    """
    return _decode_array(body, sender) if _is_one(body, kind) else _decode_lines([body], sender)


def decode_compressed(
    parts: Sequence[bytes | bytearray], encoding: str, kind: str, sender: Sender
) -> Decoded:
    """As `decode`, of a body that is long or compressed."""
    pieces = decompressed(parts, encoding)
    first = next(pieces, b"")
    pieces = chain([first], pieces)
    if _is_one(first, kind):
        return _decode_array(_joined(pieces), sender)
    return _decode_lines(_one_by_one(whole_lines(pieces, MAX_ROW_BYTES)), sender)


def _one_by_one(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """With a moment in between, in which the event loop has Python's lock without asking for it:
    it would be given only after 5 ms, each time that the loop has something to do."""
    for piece in pieces:
        yield piece
        time.sleep(PAUSE_SECONDS)


def _is_one(begin: bytes, kind: str) -> bool:
    """Whether the body is one JSON value."""
    if kind in (ARRAY_TYPE, LINES_TYPE):
        return kind == ARRAY_TYPE
    return begin.lstrip().startswith(b"[")


def _joined(pieces: Iterable[bytes]) -> bytes:
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > MAX_ARRAY_BYTES:
            raise TooLargeError(
                "the JSON array",
                why=f"is longer than {MAX_ARRAY_BYTES} bytes",
                remedy=f"send the events as lines ({LINES_TYPE}), or fewer of them",
            )
    return bytes(body)


def _decode_lines(blocks: Iterable[bytes], sender: Sender) -> Decoded:
    """Each block is whole lines."""
    decoded = Decoded()
    for block in blocks:
        _add(decoded, block, block.removesuffix(b"\n").split(b"\n"), sender)
    if not decoded.rows:
        raise _empty()
    return decoded


def _decode_array(body: bytes, sender: Sender) -> Decoded:
    begin = body.lstrip()[:1]
    if not begin:
        raise _empty()
    decoded = Decoded()
    rows = _rows_of_array(body) if begin == b"[" else [body]
    for first in range(0, len(rows), ROWS_IN_BLOCK):
        block = rows[first : first + ROWS_IN_BLOCK]
        _add(decoded, b"\n".join(block), block, sender)
    return decoded


def _rows_of_array(body: bytes) -> Sequence[bytes]:
    try:
        return list(map(bytes, _decode_raw(body)))
    except msgspec.DecodeError as error:
        why = _shortened(str(error))
    except RecursionError:
        why = "JSON is nested too deeply"
    raise InvalidRequestError("the request's body", why=why, remedy="correct it, or send lines")


def _empty() -> InvalidRequestError:
    return InvalidRequestError(
        "the request's body", why="is empty", remedy="send a JSON array or lines of events"
    )


def _add(decoded: Decoded, block: bytes, rows: Sequence[bytes], sender: Sender) -> None:
    """Rows that are empty are none."""
    latest = sender.received_at + AHEAD
    # For a row alone, the way of one by one is the shorter one.
    good = _all_sound(block, rows, sender, latest) if len(rows) > 1 else None
    if good is None:
        events: list[Event] = []
        for index, row in enumerate(filter(bytes.strip, rows), decoded.rows):
            outcome = _look_at(row, sender, latest)
            if isinstance(outcome, str):
                decoded.rejected.append(Rejected(index, outcome))
            else:
                events.append(outcome)
        good = received(events, sender)
    if good.count:
        decoded.events.append(good)
        decoded.good += good.count
    if decoded.rows > MAX_ROWS:
        raise TooLargeError(
            "the request", why=f"has more than {MAX_ROWS} events", remedy="send it in parts"
        )


def _all_sound(
    block: bytes, rows: Sequence[bytes], sender: Sender, latest: datetime
) -> ReceivedEvents | None:
    """The events of all rows, when nothing is wrong with any of them for certain."""
    try:
        events = list(map(_decode_event, rows))
    except (ValueError, ArithmeticError, RecursionError):
        return None
    if _may_have_controls(block) or max(map(len, rows), default=0) > MAX_ROW_BYTES:
        return None
    if any(map(problem, events, repeat(latest))):
        return None
    good = received(events, sender)
    return None if _has_other_names(block, good) else good


def _may_have_controls(text: bytes) -> bool:
    # `in` is many times as fast as a search that finds nothing.
    if b"\\" in text and ESCAPED_CONTROL.search(text):
        return True
    return (b"\x7f" in text or not text.isascii()) and RAW_CONTROL.search(text) is not None


def _has_other_names(text: bytes, good: ReceivedEvents) -> bool:
    """Whether there are more names than fields: one may be twice, and msgspec takes the last.

    Names are counted by the commas between them; those in texts are in both. Whatever could
    mislead this costs a second look.
    """
    if b"\\" in text and any(part in text for part in MISLEADING):
        return True
    found, expected = text.count(b","), good.lines.count(b",")
    return found != expected and found - sum(map(text.count, NULL)) != expected


def _look_at(text: bytes, sender: Sender, latest: datetime) -> Event | str:
    """The event, or what is wrong with the row."""
    if len(text) > MAX_ROW_BYTES:
        return f"Row is longer than {MAX_ROW_BYTES} bytes"
    try:
        event = _decode_event(text)
    except RecursionError:
        return "JSON is nested too deeply"
    except (ValueError, ArithmeticError) as error:
        return _explained(error)
    wrong = problem(event, latest)
    if wrong is None and _may_have_controls(text):
        wrong = control_character_in(event)
    if wrong is None and _has_other_names(text, received([event], sender)):
        wrong = _repeated_name(text)
    return wrong or event


def _repeated_name(text: bytes) -> str | None:
    repeated: list[str] = []

    def look(pairs: list[tuple[str, object]]) -> None:
        names: set[str] = set()
        for name, _ in pairs:
            if name in names:
                repeated.append(name)
            names.add(name)

    # As text, because a number of a thousand digits is no integer for Python.
    json.loads(text.decode(), object_pairs_hook=look, parse_int=str, parse_float=str)
    return f"Object has the name `{_shortened(repeated[0])}` twice" if repeated else None


def _explained(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"Text is not valid UTF-8: {error.reason}"
    said = str(error)
    for name, choices in CHOICES.items():
        if said.startswith("Invalid enum value") and said.endswith(f"`$.{name}`"):
            return f"Expected {choices} - at `$.{name}`"
    return _shortened(said)


def _shortened(error: str) -> str:
    if len(error) <= MAX_ERROR_CHARACTERS:
        return error
    return error[: MAX_ERROR_CHARACTERS - 1] + "…"
